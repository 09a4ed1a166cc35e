// A bounded queue of a mutex and two conditions; what goes in comes out in order.
package main

import (
	"fmt"
	"sync"
)

type queue struct {
	mu       sync.Mutex
	notEmpty *sync.Cond
	notFull  *sync.Cond
	items    []int
	most     int
}

func newQueue() *queue {
	q := &queue{}
	q.notEmpty, q.notFull = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	return q
}

func (q *queue) put(v int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 3 {
		q.notFull.Wait()
	}
	q.items = append(q.items, v)
	q.most = max(q.most, len(q.items))
	q.notEmpty.Signal()
}

func (q *queue) get() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		q.notEmpty.Wait()
	}
	v := q.items[0]
	q.items = q.items[1:]
	q.notFull.Signal()
	return v
}

func main() {
	q := newQueue()
	go func() {
		for i := range 10 {
			q.put(i)
		}
	}()
	for range 10 {
		fmt.Println(q.get())
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 5 {
				q.put(i*5 + n)
			}
		})
	}
	sum := 0
	for range 20 {
		sum += q.get()
	}
	wg.Wait()
	fmt.Println("sum", sum, "never more than", q.most, "left", len(q.items))
}
