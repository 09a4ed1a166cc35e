// A condition: signal wakes the one who has waited longest, broadcast wakes all.
package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
)

func main() {
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	var wg sync.WaitGroup
	turns := 0
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mu.Lock()
			for turns == 0 {
				cond.Wait()
			}
			turns--
			fmt.Println("turn of", i)
			mu.Unlock()
		}()
		runtime.Gosched()
	}
	for range 4 {
		mu.Lock()
		turns++
		cond.Signal()
		mu.Unlock()
		runtime.Gosched()
	}
	wg.Wait()

	open := false
	var through []int
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			for !open {
				cond.Wait()
			}
			through = append(through, i)
		}()
		runtime.Gosched()
	}
	cond.Signal() // nothing has changed: who wakes waits again
	runtime.Gosched()
	fmt.Println("the gate is shut", through)
	mu.Lock()
	open = true
	cond.Broadcast()
	mu.Unlock()
	wg.Wait()
	slices.Sort(through)
	fmt.Println("through the gate", through)
	cond.Signal()
	cond.Broadcast()
	fmt.Println("nobody waits")
}
