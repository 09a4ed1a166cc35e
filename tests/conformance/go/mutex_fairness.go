// Waiters get a lock in the order in which they came; one who hogs it cannot keep it for long.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

func queue() {
	var mu sync.Mutex
	var wg sync.WaitGroup
	mu.Lock()
	for i := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mu.Lock()
			fmt.Println("got the lock", i)
			mu.Unlock()
		}()
		runtime.Gosched()
	}
	mu.Unlock()
	wg.Wait()
}

func hog(mu *sync.Mutex, stop chan bool) {
	for {
		mu.Lock()
		time.Sleep(100 * time.Microsecond)
		mu.Unlock()
		select {
		case <-stop:
			stop <- true
			return
		default:
		}
	}
}

func main() {
	queue()
	var mu sync.Mutex
	stop := make(chan bool)
	go hog(&mu, stop)
	turns := 0
	for range 10 {
		time.Sleep(100 * time.Microsecond)
		mu.Lock()
		turns++
		mu.Unlock()
	}
	stop <- true
	<-stop
	fmt.Println("turns beside the hog", turns)
}
