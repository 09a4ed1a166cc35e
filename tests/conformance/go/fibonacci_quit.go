// A generator that a second channel ends; the send is a case of its select.
package main

import "fmt"

func fibonacci(out chan<- int, quit <-chan bool) {
	x, y := 0, 1
	for {
		select {
		case out <- x:
			x, y = y, x+y
		case <-quit:
			fmt.Println("quit")
			return
		}
	}
}

func main() {
	out, quit := make(chan int), make(chan bool)
	go func() {
		for range 15 {
			fmt.Println(<-out)
		}
		close(quit)
	}()
	fibonacci(out, quit)
}
