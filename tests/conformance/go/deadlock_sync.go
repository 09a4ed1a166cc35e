// Goroutines that wait for each kind of lock, and for ever.
package main

import (
	"runtime"
	"sync"
)

func lock(mu *sync.Mutex) {
	mu.Lock()
}

func write(mu *sync.RWMutex) {
	mu.Lock()
}

func read(mu *sync.RWMutex) {
	mu.RLock()
}

func wait(wg *sync.WaitGroup) {
	wg.Wait()
}

func notice(c *sync.Cond) {
	c.L.Lock()
	c.Wait()
}

func main() {
	var mu, other sync.Mutex
	var rw, held sync.RWMutex
	var wg sync.WaitGroup
	mu.Lock()
	held.Lock()
	rw.RLock()
	wg.Add(1)
	go lock(&mu)
	runtime.Gosched()
	go read(&held)
	runtime.Gosched()
	go write(&rw)
	runtime.Gosched()
	go read(&rw)
	runtime.Gosched()
	go write(&held)
	runtime.Gosched()
	go wait(&wg)
	runtime.Gosched()
	go notice(sync.NewCond(&other))
	runtime.Gosched()
	lock(&mu)
}
