package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// blocking is the time until n goroutines have each slept 0.1 s in C.
func blocking(n int) figures {
	var all sync.WaitGroup
	all.Add(n)
	watch := start()
	for range n {
		go func() {
			sleepInC(100 * time.Millisecond)
			all.Done()
		}()
	}
	all.Wait()
	return one(watch.sample(1))
}

func tickWhileInC(n int) figures {
	return ticks(n, func() { sleepInC(10 * time.Millisecond) })
}

func tickWhileBurning(n int) figures {
	return ticks(n, func() { burn(20 * time.Millisecond) })
}

var sink atomic.Uint64

func burn(d time.Duration) {
	x := uint64(d)
	for end := time.Now().Add(d); time.Now().Before(end); {
		x = work(x, 1000)
	}
	sink.Store(x)
}

func work(x uint64, n int) uint64 {
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// ticks is how late n ticks of a millisecond come while 50 goroutines do that again and again.
// A tick that could not come in time counts with its own lateness.
func ticks(n int, disturb func()) figures {
	const tasks = 50
	var stop atomic.Bool
	var all sync.WaitGroup
	all.Add(tasks)
	for range tasks {
		go func() {
			for !stop.Load() {
				disturb()
			}
			all.Done()
		}()
	}
	late := make([]float64, 0, n)
	for due := time.Now().Add(time.Millisecond); len(late) < n; {
		time.Sleep(time.Until(due))
		now := time.Now()
		for !due.After(now) && len(late) < n {
			late = append(late, now.Sub(due).Seconds())
			due = due.Add(time.Millisecond)
		}
	}
	stop.Store(true)
	all.Wait()
	slices.Sort(late)
	return figures{
		"p50":   plain(late[n/2]),
		"p99":   plain(late[n*99/100]),
		"worst": plain(late[n-1]),
	}
}

func timers(n int) figures {
	all := make([]*time.Timer, n)
	var worst time.Duration
	each := func(op func(i int)) sample {
		watch := start()
		last := time.Now()
		for i := range n {
			op(i)
			now := time.Now()
			worst = max(worst, now.Sub(last))
			last = now
		}
		return watch.sample(n)
	}
	mixed := func(i int) time.Duration { return time.Duration(i*7919%n) * time.Microsecond }
	nothing := func() {}
	result := figures{}
	result["start"] = each(func(i int) { all[i] = time.AfterFunc(100*time.Second+mixed(i), nothing) })
	result["stop"] = each(func(i int) { all[i*7907%n].Stop() })
	var fired sync.WaitGroup
	fired.Add(n)
	watch := start()
	for i := range n {
		time.AfterFunc(50*time.Millisecond+mixed(i), fired.Done)
	}
	fired.Wait()
	result["fire"] = plain(watch.sample(n)[1])
	result["worst"] = plain(worst.Seconds())
	return result
}
