// One source dealt out to four in turn, and every value copied to two.
package main

import "fmt"

func deal(in <-chan int, outs []chan int) {
	for v := range in {
		outs[v%len(outs)] <- v
	}
	for _, out := range outs {
		close(out)
	}
}

func collect(in <-chan int, answer chan<- []int) {
	var got []int
	for v := range in {
		got = append(got, v)
	}
	answer <- got
}

// tee sends every value to both, whichever is ready first.
func tee(in <-chan int, a, b chan int) {
	for v := range in {
		toA, toB := a, b
		for range 2 {
			select {
			case toA <- v:
				toA = nil
			case toB <- v:
				toB = nil
			}
		}
	}
	close(a)
	close(b)
}

func source(n int) chan int {
	out := make(chan int)
	go func() {
		for i := range n {
			out <- i
		}
		close(out)
	}()
	return out
}

func main() {
	var outs []chan int
	var answers []chan []int
	for range 4 {
		out, answer := make(chan int), make(chan []int)
		go collect(out, answer)
		outs, answers = append(outs, out), append(answers, answer)
	}
	go deal(source(18), outs)
	for i, answer := range answers {
		fmt.Println("dealt", i, <-answer)
	}

	a, b := make(chan int), make(chan int)
	left, right := make(chan []int), make(chan []int)
	go collect(a, left)
	go collect(b, right)
	go tee(source(6), a, b)
	fmt.Println("both", <-left, <-right)
}
