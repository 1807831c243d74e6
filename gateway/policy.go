package gateway

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/rpc"
)

// Policy says who may call a method: what its contract says (koban.type.v1.access). A method without one
// fails to start (New).
type Policy struct {
	Roles   []rpc.Role
	Object  Object
	Timeout time.Duration // how long a call may take; 0 means Config.Timeout
	Later   bool          // what was accepted may be answered 202: durable and under way
	Waits   bool          // a call may wait for events; it does not count against Config.MaxInFlight but MaxWaiting
}

// Object says which of the tenant's objects a caller may meet through a method. The gateway enforces the
// role; the handler, which alone knows whose the object is, enforces this with the principal. What a caller
// may not see is answered as if it did not exist.
type Object uint8

// The rules about objects. Whatever they say, an object of another tenant does not exist.
const (
	AnyObject   Object = iota // every object of the tenant
	OwnMerchant               // the role merchant: what is its own; a list shows nothing else. Other roles: every object
	OwnAccount                // the role merchant: its own; customer_app: those of customers. The operator: every object
)

// feedWait is how long a call that waits for events may wait for them.
const feedWait = 30 * time.Second

// roles are those of the contracts.
var roles = map[typev1.Role]rpc.Role{
	typev1.Role_ROLE_OPERATOR: rpc.Operator, typev1.Role_ROLE_CUSTOMER_APP: rpc.CustomerApp, typev1.Role_ROLE_MERCHANT: rpc.Merchant,
}

// objects are those of the contracts.
var objects = map[typev1.Object]Object{
	typev1.Object_OBJECT_UNSPECIFIED: AnyObject, typev1.Object_OBJECT_OWN_MERCHANT: OwnMerchant, typev1.Object_OBJECT_OWN_ACCOUNT: OwnAccount,
}

// policyOf reads a method's policy from its option koban.type.v1.access.
func policyOf(md protoreflect.MethodDescriptor) (p Policy, err error) {
	access, ok := proto.GetExtension(md.Options(), typev1.E_Access).(*typev1.Access)
	if !ok || access == nil || len(access.Roles) == 0 {
		return p, fmt.Errorf("it does not say who may call it: give it the option koban.type.v1.access")
	}
	for _, r := range access.Roles {
		role, ok := roles[r]
		if !ok {
			return p, fmt.Errorf("a role %v, which this version does not know", r)
		}
		p.Roles = append(p.Roles, role)
	}
	if p.Object, ok = objects[access.Object]; !ok {
		return p, fmt.Errorf("a rule %v about objects, which this version does not know", access.Object)
	}
	p.Later, p.Waits = access.Later, access.Waits
	if p.Waits {
		p.Timeout = feedWait + 10*time.Second
	}
	return p, nil
}
