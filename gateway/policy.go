package gateway

import (
	"time"

	"github.com/koban-pay/koban/internal/rpc"
)

// Policy says who may call a method. A method without one fails to start (New) and fails a test.
type Policy struct {
	Roles   []rpc.Role
	Object  Object
	Timeout time.Duration // how long a call may take; 0 means Config.Timeout
	Later   bool          // what was accepted may be answered 202: durable and under way
	Waits   bool          // a call may wait for events; it does not count against Config.MaxInFlight but MaxWaiting
}

// Object says which of the tenant's objects a caller may meet through a method. The gateway enforces the role; the
// handler, which alone knows whose the object is, enforces this with the principal. What a caller may not see is
// answered as if it did not exist.
type Object uint8

// The rules about objects. Whatever they say, an object of another tenant does not exist.
const (
	AnyObject   Object = iota // every object of the tenant
	OwnMerchant               // the role merchant: what is its own; a list shows nothing else. Other roles: every object
	OwnAccount                // the role merchant: its own; customer_app: those of customers. The operator: every object
)

var (
	operator         = []rpc.Role{rpc.Operator}
	operatorApp      = []rpc.Role{rpc.Operator, rpc.CustomerApp}
	operatorMerchant = []rpc.Role{rpc.Operator, rpc.Merchant}
	everyone         = []rpc.Role{rpc.Operator, rpc.CustomerApp, rpc.Merchant}
	feedWait         = 30 * time.Second
	policies         = map[string]Policy{
		"koban.payment.v1.PaymentService.CreatePayment":  {Roles: operatorApp, Later: true},
		"koban.payment.v1.PaymentService.GetPayment":     {Roles: everyone, Object: OwnMerchant},
		"koban.payment.v1.PaymentService.ListPayments":   {Roles: everyone, Object: OwnMerchant},
		"koban.payment.v1.PaymentService.ListRefunds":    {Roles: everyone, Object: OwnMerchant},
		"koban.payment.v1.PaymentService.CapturePayment": {Roles: operatorMerchant, Object: OwnMerchant, Later: true},
		"koban.payment.v1.PaymentService.VoidPayment":    {Roles: operatorMerchant, Object: OwnMerchant, Later: true},
		"koban.payment.v1.PaymentService.CreateRefund":   {Roles: operatorMerchant, Object: OwnMerchant, Later: true},
		"koban.payment.v1.PaymentService.ExplainPayment": {Roles: operator},

		"koban.balance.v1.AccountService.GetAccount":           {Roles: everyone, Object: OwnAccount},
		"koban.balance.v1.AccountService.ListMerchantAccounts": {Roles: operatorMerchant, Object: OwnMerchant},
		"koban.balance.v1.AccountService.ListCustomerAccounts": {Roles: operatorApp},
		"koban.balance.v1.AccountService.CreditAccount":        {Roles: operator},

		"koban.platform.v1.PlatformService.CreateCustomer": {Roles: operator},
		"koban.platform.v1.PlatformService.CreateMerchant": {Roles: operator},
		"koban.platform.v1.PlatformService.EraseCustomer":  {Roles: operator},
		"koban.platform.v1.PlatformService.EraseMerchant":  {Roles: operator},

		"koban.code.v1.SessionService.CreateSession": {Roles: operatorApp},
		"koban.code.v1.SessionService.GetSession":    {Roles: operatorApp},

		"koban.rehearsal.v1.RehearsalService.ListFaults":   {Roles: operator},
		"koban.rehearsal.v1.RehearsalService.InjectFault":  {Roles: operator},
		"koban.rehearsal.v1.RehearsalService.ClearFaults":  {Roles: operator},
		"koban.rehearsal.v1.RehearsalService.GetClock":     {Roles: operator},
		"koban.rehearsal.v1.RehearsalService.AdvanceClock": {Roles: operator},

		"koban.feed.v1.FeedService.ReadFeed": {
			Roles: operatorMerchant, Object: OwnMerchant, Timeout: feedWait + 10*time.Second,
			Waits: true,
		},
	}
)
