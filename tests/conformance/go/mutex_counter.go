// Many goroutines change what a lock guards, giving way while they hold it.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func main() {
	var mu sync.Mutex
	var wg sync.WaitGroup
	counter, inside, most := 0, 0, 0
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 10 {
				mu.Lock()
				inside++
				most = max(most, inside)
				before := counter
				runtime.Gosched()
				counter = before + 1
				inside--
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	fmt.Println(counter, most)
	fmt.Println("free", mu.TryLock(), "again", mu.TryLock())
}
