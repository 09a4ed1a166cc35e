// More done than added.
package main

import (
	"fmt"
	"sync"
)

func finish(wg *sync.WaitGroup) {
	defer func() { fmt.Println("recovered:", recover()) }()
	wg.Done()
}

func add(wg *sync.WaitGroup) {
	wg.Add(-2)
}

func main() {
	var wg sync.WaitGroup
	finish(&wg)
	wg = sync.WaitGroup{}
	wg.Add(1)
	go add(&wg)
	select {}
}
