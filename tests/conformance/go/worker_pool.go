// Three workers share a queue of jobs; who takes which is open, so the results are sorted.
package main

import (
	"fmt"
	"slices"
)

func worker(jobs <-chan int, results chan<- string, done chan<- bool) {
	for job := range jobs {
		results <- fmt.Sprintf("%02d squared is %d", job, job*job)
	}
	done <- true
}

func main() {
	jobs, results, done := make(chan int, 5), make(chan string), make(chan bool)
	for range 3 {
		go worker(jobs, results, done)
	}
	go func() {
		for i := range 20 {
			jobs <- i
		}
		close(jobs)
		for range 3 {
			<-done
		}
		close(results)
	}()
	var all []string
	for line := range results {
		all = append(all, line)
	}
	slices.Sort(all)
	for _, line := range all {
		fmt.Println(line)
	}
}
