// The workers leave by Goexit without an answer; main waits for one.
package main

import (
	"fmt"
	"runtime"
)

func worker(n int, answers chan<- int) {
	fmt.Println("worker", n, "leaves")
	runtime.Goexit()
	answers <- n
}

func collect(answers <-chan int) int {
	return <-answers
}

func main() {
	answers := make(chan int)
	for i := range 3 {
		go worker(i, answers)
		runtime.Gosched()
	}
	fmt.Println(collect(answers))
}
