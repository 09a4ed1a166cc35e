// Waiting for a group: several waiters, use again, and its own way to start functions.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func main() {
	var wg sync.WaitGroup
	wg.Wait()
	fmt.Println("nothing to wait for")

	results := make([]int, 5)
	for i := range results {
		wg.Add(1)
		go func() {
			defer wg.Done()
			results[i] = i * i
		}()
	}
	wg.Wait()
	fmt.Println(results)

	wg.Add(2)
	done := make(chan int)
	for i := range 3 {
		go func() {
			wg.Wait()
			done <- i
		}()
		runtime.Gosched()
	}
	wg.Done()
	runtime.Gosched()
	select {
	case <-done:
		fmt.Println("too early")
	default:
		fmt.Println("one is left")
	}
	wg.Done()
	sum := 0
	for range 3 {
		sum += <-done
	}
	fmt.Println("waiters", sum)

	for i := range results {
		wg.Go(func() { results[i] = -i })
	}
	wg.Go(func() { runtime.Goexit() })
	wg.Wait()
	fmt.Println(results)
}
