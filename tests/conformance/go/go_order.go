// The order in which started goroutines run: the last one first, then as they were started.
package main

import "fmt"

var order []int

func worker(n int, done chan bool) {
	order = append(order, n)
	done <- true
}

func main() {
	done := make(chan bool, 10)
	for n := range 10 {
		go worker(n, done)
	}
	for range 10 {
		<-done
	}
	fmt.Println(order)
}
