package main

import (
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/platform"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected one argument, the file of the descriptor set")
	}
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(raw, set); err != nil {
		return err
	}
	doc, err := gateway.OpenAPI(platform.Contracts(), set)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(doc)
	return err
}
