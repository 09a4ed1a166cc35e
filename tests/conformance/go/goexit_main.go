// Main leaves, the others finish their work, and no goroutine is left.
package main

import (
	"fmt"
	"runtime"
	"time"
)

func worker() {
	time.Sleep(time.Millisecond)
	fmt.Println("worked")
}

func main() {
	defer fmt.Println("deferred")
	go worker()
	runtime.Goexit()
}
