// Main leaves, and the others wait for what will not come.
package main

import "runtime"

func waiter(ch chan int) {
	<-ch
}

func parent(ch chan int) {
	go waiter(ch)
}

func main() {
	go parent(make(chan int))
	runtime.Goexit()
}
