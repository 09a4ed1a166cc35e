// A goroutine that a goroutine started fails three calls deep; all others wait.
package main

import "fmt"

func three(n int) {
	if n > 2 {
		panic(fmt.Errorf("LookupError: %d is too many", n))
	}
}

func two(n int) {
	three(n + 1)
}

func one(n int) {
	two(n + 1)
}

func child() {
	one(1)
}

func parent(ch chan int) {
	go child()
	<-ch
}

func main() {
	ch := make(chan int)
	go parent(ch)
	<-ch
}
