// The fatal error of a goroutine that is not main.
package main

import (
	"runtime"
	"sync"
)

func release(mu *sync.Mutex) {
	mu.Unlock()
}

func work(mu *sync.Mutex) {
	mu.Lock()
	mu.Unlock()
	release(mu)
}

func wait(ch chan int) {
	<-ch
}

func main() {
	var mu sync.Mutex
	ch := make(chan int)
	go wait(ch)
	runtime.Gosched()
	go work(&mu)
	wait(ch)
}
