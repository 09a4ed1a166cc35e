// Deadlines: the earlier one counts, a past one at once; what an expired context says.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

func main() {
	long, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	short, cancel2 := context.WithTimeout(long, 5*time.Millisecond)
	defer cancel2()
	longer, cancel3 := context.WithTimeout(short, time.Hour)
	defer cancel3()
	d1, ok1 := long.Deadline()
	d2, ok2 := short.Deadline()
	d3, ok3 := longer.Deadline()
	fmt.Println(ok1, ok2, ok3, d2.Before(d1), d3.Equal(d2))
	_, ok := context.Background().Deadline()
	fmt.Println("background", ok)

	<-longer.Done()
	fmt.Println(short.Err(), "/", longer.Err(), "/", long.Err())
	fmt.Println(errors.Is(short.Err(), context.DeadlineExceeded), context.Cause(longer) == context.DeadlineExceeded)

	past, cancel4 := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	fmt.Println("past:", past.Err())
	cancel4()
	fmt.Println("still:", past.Err())
	zero, cancel5 := context.WithTimeout(context.Background(), 0)
	defer cancel5()
	fmt.Println("zero:", zero.Err())

	quick, cancel6 := context.WithTimeout(context.Background(), time.Hour)
	cancel6()
	fmt.Println("cancelled before its time:", quick.Err())

	select {
	case <-long.Done():
		fmt.Println("not reached")
	case <-time.After(time.Millisecond):
		fmt.Println("the long one lives")
	}
}
