// Once: called again, failing, and left by Goexit.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func attempt(once *sync.Once, f func()) {
	defer func() { fmt.Println("recovered:", recover()) }()
	once.Do(f)
}

func main() {
	var once sync.Once
	for i := range 3 {
		once.Do(func() { fmt.Println("called", i) })
	}

	var failing sync.Once
	attempt(&failing, func() { panic("no good") })
	attempt(&failing, func() { fmt.Println("not reached") })

	var left sync.Once
	done := make(chan bool)
	go func() {
		defer close(done)
		left.Do(func() { runtime.Goexit() })
		fmt.Println("not reached")
	}()
	<-done
	left.Do(func() { fmt.Println("not reached") })

	// Those who come while it runs wait for its end.
	var slow sync.Once
	var wg sync.WaitGroup
	ready := false
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slow.Do(func() {
				for range 3 {
					runtime.Gosched()
				}
				ready = true
			})
			fmt.Println("ready", ready)
		}()
	}
	wg.Wait()
}
