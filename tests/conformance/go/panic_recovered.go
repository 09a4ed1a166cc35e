// Failures that are caught: by the caller, by a worker that reports and goes on, and passed on.
package main

import (
	"errors"
	"fmt"
)

var errOdd = errors.New("odd")

func check(n int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("check %d: %w", n, r.(error))
		}
	}()
	if n%2 == 1 {
		panic(errOdd)
	}
	return nil
}

func worker(jobs <-chan int, out chan<- string) {
	defer close(out)
	for n := range jobs {
		if err := check(n); err != nil {
			out <- fmt.Sprint(err, " ", errors.Is(err, errOdd))
		} else {
			out <- "fine"
		}
	}
}

func outer() {
	defer func() { fmt.Println("outer recovered:", recover()) }()
	inner()
	fmt.Println("not reached")
}

func inner() {
	defer func() {
		r := recover()
		fmt.Println("inner recovered:", r)
		panic(fmt.Sprint("again ", r))
	}()
	panic("first")
}

func main() {
	jobs, out := make(chan int, 4), make(chan string)
	for i := range 4 {
		jobs <- i
	}
	close(jobs)
	go worker(jobs, out)
	for line := range out {
		fmt.Println(line)
	}
	outer()
}
