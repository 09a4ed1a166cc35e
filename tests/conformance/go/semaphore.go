// A weighted semaphore: first come, first served, whatever the weight; a context ends a wait.
package main

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/semaphore"
)

func main() {
	ctx := context.Background()
	sem := semaphore.NewWeighted(4)
	fmt.Println("try", sem.TryAcquire(3), sem.TryAcquire(2), sem.TryAcquire(1))
	done := make(chan string)
	for _, n := range []int64{4, 1, 2} {
		go func() {
			sem.Acquire(ctx, n)
			fmt.Println("acquired", n)
			sem.Release(n)
			done <- fmt.Sprint("done ", n)
		}()
		runtime.Gosched()
	}
	sem.Release(1)
	runtime.Gosched()
	fmt.Println("the small ones wait behind the large one", sem.TryAcquire(1))
	sem.Release(3)
	for range 3 {
		<-done
	}

	sem.Acquire(ctx, 4)
	short, cancel := context.WithCancel(ctx)
	go func() { done <- fmt.Sprint("gave up: ", sem.Acquire(short, 1)) }()
	runtime.Gosched()
	cancel()
	fmt.Println(<-done)
	sem.Release(4)
	fmt.Println("cancelled before:", sem.Acquire(short, 1))
	fmt.Println("all is free:", sem.TryAcquire(4))
	short, cancel = context.WithCancel(ctx)
	go func() { done <- fmt.Sprint("more than there is: ", sem.Acquire(short, 5)) }()
	runtime.Gosched()
	cancel()
	fmt.Println(<-done)
	sem.Release(4)
	defer func() { fmt.Println("recovered:", recover()) }()
	sem.Release(1)
}
