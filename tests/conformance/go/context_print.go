// How contexts print.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type key struct{}

type named string

func (n named) String() string { return "named " + string(n) }

func main() {
	bg := context.Background()
	fmt.Println(bg)
	fmt.Println(context.TODO())
	c, cancel := context.WithCancel(bg)
	defer cancel()
	fmt.Println(c)
	fmt.Println(context.WithValue(c, "text", "value"))
	fmt.Println(context.WithValue(c, key{}, named("x")))
	fmt.Println(context.WithValue(bg, named("k"), nil))
	fmt.Println(context.WithoutCancel(c))
	cc, cancel2 := context.WithCancelCause(c)
	fmt.Println(cc)
	cancel2(errors.New("x"))
	fmt.Println(cc)
	d, cancel3 := context.WithTimeout(context.TODO(), time.Hour)
	defer cancel3()
	fmt.Println(d)
	v, cancel4 := context.WithCancel(context.WithValue(d, "k", "v"))
	defer cancel4()
	fmt.Println(v)
	fmt.Println(context.Canceled, "/", context.DeadlineExceeded)
}
