// Values are found upwards, the nearest first; keys of different types never meet.
package main

import (
	"context"
	"fmt"
)

type userKey struct{}
type traceKey struct{}

func show(ctx context.Context) {
	for _, v := range []any{ctx.Value(userKey{}), ctx.Value(traceKey{}), ctx.Value("user")} {
		if v == nil {
			v = "none"
		}
		fmt.Print(v, " ")
	}
	fmt.Println(ctx.Err())
}

func main() {
	bg := context.Background()
	show(bg)
	user := context.WithValue(bg, userKey{}, "ada")
	show(user)
	both, cancel := context.WithCancel(context.WithValue(user, traceKey{}, 17))
	show(both)
	inner := context.WithValue(both, userKey{}, "ken")
	show(inner)
	show(context.WithValue(inner, "user", "rob"))
	show(both)
	cancel()
	show(inner)
	show(context.WithoutCancel(inner))
}
