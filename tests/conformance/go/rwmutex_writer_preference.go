// Readers share; once a writer waits, later readers wait behind it.
package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
)

func main() {
	var mu sync.RWMutex
	var wg sync.WaitGroup
	var readers []int
	mu.RLock()
	mu.RLock()
	fmt.Println("two readers; a third may:", mu.TryRLock(), "a writer may:", mu.TryLock())
	mu.RUnlock()

	wg.Add(1)
	go func() {
		defer wg.Done()
		mu.Lock()
		fmt.Println("writer, before", len(readers), "readers")
		mu.Unlock()
	}()
	runtime.Gosched()
	fmt.Println("a writer waits; a reader may:", mu.TryRLock())
	for i := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mu.RLock()
			readers = append(readers, i)
			mu.RUnlock()
		}()
		runtime.Gosched()
	}
	mu.RUnlock()
	fmt.Println("one reader left")
	mu.RUnlock()
	wg.Wait()
	slices.Sort(readers)
	fmt.Println("readers", readers)

	r := mu.RLocker()
	r.Lock()
	fmt.Println("a writer may:", mu.TryLock())
	r.Unlock()
	fmt.Println("a writer may:", mu.TryLock())
	fmt.Println("a reader may:", mu.TryRLock())
	mu.Unlock()
}
