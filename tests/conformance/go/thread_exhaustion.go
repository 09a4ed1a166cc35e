// More threads than allowed: each goroutine that is locked to its thread takes one.
package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

func locked() {
	runtime.LockOSThread()
	select {}
}

func main() {
	fmt.Println(debug.SetMaxThreads(30))
	fmt.Println(debug.SetMaxThreads(20))
	for i := 0; i < 40; i++ {
		go locked()
		runtime.Gosched()
	}
	fmt.Println("not reached")
}
