// Workers that stop when their context does, wherever they are.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

func worker(ctx context.Context, n int, jobs <-chan int, report chan<- string) {
	count := 0
	for {
		select {
		case <-ctx.Done():
			report <- fmt.Sprintf("worker %d stops: %v", n, context.Cause(ctx))
			return
		case <-jobs:
			count++
		}
	}
}

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	jobs, report := make(chan int), make(chan string, 4)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() { worker(ctx, n, jobs, report) })
	}
	for i := range 20 {
		jobs <- i
	}
	cancel(errors.New("enough"))
	wg.Wait()
	close(report)
	var lines []string
	for line := range report {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}
