// Goexit runs what was deferred, so locks are free and groups are told.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func main() {
	var mu sync.Mutex
	var rw sync.RWMutex
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			rw.RLock()
			defer rw.RUnlock()
			fmt.Println("inside", i)
			runtime.Goexit()
		}()
		runtime.Gosched()
	}
	wg.Wait()
	fmt.Println("free", mu.TryLock(), rw.TryLock())
}
