package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func spawn(n int) figures {
	const batch = 1000
	watch := start()
	for begun := 0; begun < n; begun += batch {
		var all sync.WaitGroup
		size := min(batch, n-begun)
		all.Add(size)
		for range size {
			go all.Done()
		}
		all.Wait()
	}
	return one(watch.sample(n))
}

func pingpong(n int) figures {
	ping, pong := make(chan int), make(chan int)
	go answer(ping, pong, n)
	watch := start()
	for i := range n {
		ping <- i
		<-pong
	}
	return one(watch.sample(n))
}

func answer(ping, pong chan int, n int) {
	for range n {
		pong <- <-ping
	}
}

func buffered(n int) figures {
	values := make(chan int, 128)
	watch := start()
	go func() {
		for i := range n {
			values <- i
		}
	}()
	for range n {
		<-values
	}
	return one(watch.sample(n))
}

func giveway(n int) figures {
	const tasks = 10
	var all sync.WaitGroup
	all.Add(tasks)
	watch := start()
	for range tasks {
		go func() {
			for range n / tasks {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	return one(watch.sample(n / tasks * tasks))
}

func ring(n int) figures {
	const size = 1000
	laps := max(1, n/size)
	chans := make([]chan int, size)
	for i := range chans {
		chans[i] = make(chan int)
	}
	for i := range size - 1 {
		go answer(chans[i], chans[i+1], laps)
	}
	value := 1
	watch := start()
	for range laps {
		chans[0] <- value
		value = <-chans[size-1]
	}
	return one(watch.sample(laps * size))
}

func fanin(n int) figures {
	const producers = 1000
	each := max(1, n/producers)
	values := make(chan int, 128)
	watch := start()
	for range producers {
		go func() {
			for i := range each {
				values <- i
			}
		}()
	}
	for range each * producers {
		<-values
	}
	return one(watch.sample(each * producers))
}

func mutex(n int) figures {
	const tasks = 10
	var mu sync.Mutex
	watch := start()
	for range n {
		mu.Lock()
		mu.Unlock()
	}
	free := watch.sample(n)
	var all sync.WaitGroup
	watch = start()
	for range tasks {
		all.Go(func() {
			for range n / tasks {
				mu.Lock()
				runtime.Gosched()
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return figures{"free": free, "contended": watch.sample(n / tasks * tasks)}
}

func select8(n int) figures {
	var chans [8]chan int
	for i := range chans {
		chans[i] = make(chan int, 1)
	}
	watch := start()
	go func() {
		for i := range n {
			chans[i%len(chans)] <- i
		}
	}()
	for range n {
		select {
		case <-chans[0]:
		case <-chans[1]:
		case <-chans[2]:
		case <-chans[3]:
		case <-chans[4]:
		case <-chans[5]:
		case <-chans[6]:
		case <-chans[7]:
		}
	}
	return one(watch.sample(n))
}

func memory(n int) figures {
	release := make(chan struct{})
	before := rss()
	park(n, release)
	grown := rss() - before
	close(release)
	return one(plain(grown / float64(n)))
}

// park starts n goroutines that wait for the channel; all of them wait when it returns.
func park(n int, release chan struct{}) *sync.WaitGroup {
	var ended sync.WaitGroup
	var begun atomic.Int64
	ended.Add(n)
	for range n {
		go func() {
			begun.Add(1)
			<-release
			ended.Done()
		}()
	}
	for begun.Load() < int64(n) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Millisecond) // the last one is between its count and its wait
	return &ended
}

func sleepers(n int) figures {
	var all sync.WaitGroup
	all.Add(n)
	watch := start()
	for i := range n {
		go func() {
			time.Sleep(100*time.Millisecond + 400*time.Microsecond*time.Duration(i*7919%1000))
			all.Done()
		}()
	}
	all.Wait()
	cpu := watch.sample(n)[1]
	return one(plain(cpu))
}
