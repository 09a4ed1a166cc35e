// Unlocking what is not locked is a fatal error, which nothing can recover.
package main

import (
	"fmt"
	"sync"
)

func wait(ch chan int) {
	<-ch
}

func release(mu *sync.RWMutex) {
	defer func() { fmt.Println("recovered", recover()) }()
	mu.Unlock()
}

func main() {
	go wait(make(chan int))
	var mu sync.RWMutex
	release(&mu)
}
