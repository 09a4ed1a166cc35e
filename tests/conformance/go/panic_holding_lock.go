// One who fails with a lock in hand: released by what it deferred, or never.
package main

import (
	"fmt"
	"sync"
)

var mu sync.Mutex

func careful() {
	mu.Lock()
	defer mu.Unlock()
	panic("no good")
}

func attempt() {
	defer func() { fmt.Println("recovered:", recover()) }()
	careful()
}

func careless() {
	mu.Lock()
	panic("ValueError: with the lock in hand")
}

func wait() {
	mu.Lock()
}

func main() {
	attempt()
	fmt.Println("free", mu.TryLock())
	mu.Unlock()
	go careless()
	select {}
}
