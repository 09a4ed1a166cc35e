// When main returns, nobody is waited for and nothing is said.
package main

import (
	"fmt"
	"runtime"
	"time"
)

func waiter(ch chan int) {
	<-ch
	fmt.Println("not reached")
}

func sleeper() {
	time.Sleep(time.Hour)
	fmt.Println("not reached")
}

func main() {
	go waiter(make(chan int))
	go sleeper()
	runtime.Gosched()
	go waiter(make(chan int))
	fmt.Println(runtime.NumGoroutine())
}
