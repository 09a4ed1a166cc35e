// Halves are sorted by goroutines of their own and come back on channels.
package main

import "fmt"

func sorted(values []int) <-chan int {
	out := make(chan int, 1)
	go func() {
		defer close(out)
		if len(values) <= 1 {
			for _, v := range values {
				out <- v
			}
			return
		}
		a, b := sorted(values[:len(values)/2]), sorted(values[len(values)/2:])
		x, okx := <-a
		y, oky := <-b
		for okx || oky {
			if okx && (!oky || x <= y) {
				out <- x
				x, okx = <-a
			} else {
				out <- y
				y, oky = <-b
			}
		}
	}()
	return out
}

func main() {
	var values []int
	for i := range 50 {
		values = append(values, i*37%101)
	}
	for v := range sorted(values) {
		fmt.Print(v, " ")
	}
	fmt.Println()
}
