// Five philosophers, five forks; the lower fork first, so nobody starves.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func main() {
	var forks [5]sync.Mutex
	var wg sync.WaitGroup
	var meals [5]int
	eating, most := 0, 0
	for i := range 5 {
		wg.Go(func() {
			first, second := min(i, (i+1)%5), max(i, (i+1)%5)
			for range 20 {
				forks[first].Lock()
				runtime.Gosched()
				forks[second].Lock()
				eating++
				most = max(most, eating)
				runtime.Gosched()
				meals[i]++
				eating--
				forks[second].Unlock()
				forks[first].Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Println(meals, "at most two eat:", most <= 2)
}
