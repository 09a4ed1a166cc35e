package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// pairs is the time of a round trip when 4 pairs share the work.
func pairs(n int) figures {
	const count = 4
	var all sync.WaitGroup
	all.Add(count)
	each := n / count
	watch := start()
	for range count {
		go func() {
			ping, pong := make(chan int), make(chan int)
			go answer(ping, pong, each)
			for i := range each {
				ping <- i
				<-pong
			}
			all.Done()
		}()
	}
	all.Wait()
	return one(watch.sample(each * count))
}

// cpu is the time of 4 computing goroutines over the time of the same work one after the other.
func cpu(n int) figures {
	const tasks = 4
	n *= 50 // as long as Python takes
	compute := func() { sink.Store(work(1, n)) }
	watch := start()
	for range tasks {
		compute()
	}
	serial := watch.sample(1)
	var all sync.WaitGroup
	all.Add(tasks)
	watch = start()
	for range tasks {
		go func() {
			compute()
			all.Done()
		}()
	}
	all.Wait()
	parallel := watch.sample(1)
	return one(sample{parallel[0] / serial[0], parallel[1] / serial[1]})
}

// stack is the time for the stacks of n goroutines, in a buffer that holds them all.
func stack(n int) figures {
	release := make(chan struct{})
	ended := park(n, release)
	text := make([]byte, 1000*(n+10))
	watch := start()
	size := runtime.Stack(text, true)
	result := watch.sample(1)
	if size == len(text) {
		fail("the stacks do not fit")
	}
	close(release)
	ended.Wait()
	return one(result)
}

// million is the time to park n goroutines and end them, and the most memory that took, in GB.
func million(n int) figures {
	release := make(chan struct{})
	watch := start()
	ended := park(n, release)
	close(release)
	ended.Wait()
	result := figures{"time": watch.sample(1)}
	peak := proc("/proc/self/status", func(text string) (float64, error) {
		var kilobytes float64
		_, after, _ := strings.Cut(text, "VmHWM:")
		_, err := fmt.Sscan(after, &kilobytes)
		return kilobytes * 1024, err
	})
	result["peak"] = plain(peak / 1e9)
	return result
}
