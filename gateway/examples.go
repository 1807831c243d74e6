package gateway

import "github.com/koban-pay/koban/fault"

// told is what the OpenAPI document says of a method beyond its contract: a body to begin with, and the codes that this
// method in particular answers with, besides those of every call. A test decodes each body by the contract.
type told struct {
	example string
	codes   []fault.Code
}

var about = map[string]told{
	"koban.payment.v1.PaymentService.CreatePayment": {
		example: `{"kind":"charge","session":"ses_1jmdf1ymeav37kr1m9x047my022ebrbp","amount":{"currency":"JPY","value":1200},` +
			`"sources":[{"type":"points","amount":{"currency":"JPY","value":200}},{"type":"balance"}],"reference":"order 17"}`,
		codes: []fault.Code{
			fault.InvalidAmount, fault.SourcesMismatch, fault.CurrencyMismatch, fault.SessionNotFound,
			fault.MerchantNotFound, fault.CustomerNotFound, fault.InsufficientFunds, fault.SessionExpired, fault.SessionUsed,
			fault.SessionForeign, fault.SessionMismatch, fault.AccountSuspended, fault.AccountClosed, fault.LimitExceeded,
			fault.GaveUp, fault.CircuitOpen,
		},
	},
	"koban.payment.v1.PaymentService.GetPayment":   {codes: []fault.Code{fault.PaymentNotFound}},
	"koban.payment.v1.PaymentService.ListPayments": {codes: []fault.Code{fault.InvalidCursor}},
	"koban.payment.v1.PaymentService.CapturePayment": {
		example: `{"amount":{"currency":"JPY","value":1200},"final":true}`,
		codes: []fault.Code{
			fault.PaymentNotFound, fault.CurrencyMismatch, fault.NotCapturable, fault.CaptureMismatch,
			fault.PaymentBusy,
		},
	},
	"koban.payment.v1.PaymentService.VoidPayment": {
		example: `{}`, codes: []fault.Code{fault.PaymentNotFound, fault.NotVoidable, fault.PaymentBusy},
	},
	"koban.payment.v1.PaymentService.CreateRefund": {
		example: `{"amount":{"currency":"JPY","value":600}}`,
		codes: []fault.Code{
			fault.PaymentNotFound, fault.InvalidAmount, fault.CurrencyMismatch, fault.NotRefundable,
			fault.AlreadyRefunded, fault.ExceedsCaptured, fault.MerchantFundsShort, fault.PaymentBusy, fault.CircuitOpen,
		},
	},
	"koban.payment.v1.PaymentService.ExplainPayment":       {codes: []fault.Code{fault.PaymentNotFound}},
	"koban.balance.v1.AccountService.GetAccount":           {codes: []fault.Code{fault.AccountNotFound}},
	"koban.balance.v1.AccountService.ListCustomerAccounts": {codes: []fault.Code{fault.CustomerNotFound}},
	"koban.balance.v1.AccountService.CreditAccount": {
		example: `{"amount":{"currency":"JPY","value":5000}}`,
		codes: []fault.Code{
			fault.AccountNotFound, fault.InvalidAmount, fault.CurrencyMismatch, fault.LimitExceeded,
			fault.SupplyExhausted, fault.AccountSuspended, fault.AccountClosed,
		},
	},
	"koban.platform.v1.PlatformService.CreateCustomer": {
		example: `{"balance":{"currency":"JPY","value":10000},"points":{"currency":"PT","value":500}}`,
		codes:   []fault.Code{fault.InvalidAmount, fault.CurrencyMismatch, fault.SupplyExhausted},
	},
	"koban.platform.v1.PlatformService.CreateMerchant": {example: `{"name":"小判珈琲"}`},
	"koban.platform.v1.PlatformService.EraseCustomer":  {example: `{}`, codes: []fault.Code{fault.CustomerNotFound}},
	"koban.platform.v1.PlatformService.EraseMerchant":  {example: `{}`, codes: []fault.Code{fault.MerchantNotFound}},
	"koban.code.v1.SessionService.CreateSession": {
		example: `{"payload":"00020101021226…6304ABCD","customer":"cus_1jmdf1ymeav37kr1m9x047my022ebrbp"}`,
		codes:   []fault.Code{fault.InvalidCode, fault.ShopNotFound, fault.CustomerNotFound},
	},
	"koban.code.v1.SessionService.GetSession": {codes: []fault.Code{fault.SessionNotFound}},
	"koban.feed.v1.FeedService.ReadFeed":      {codes: []fault.Code{fault.InvalidCursor}},
	"koban.rehearsal.v1.RehearsalService.InjectFault": {
		example: `{"participant":"points","verb":"try","do":"slow","delay_ms":800}`,
	},
	"koban.rehearsal.v1.RehearsalService.ClearFaults":  {example: `{}`},
	"koban.rehearsal.v1.RehearsalService.AdvanceClock": {example: `{"by_ms":10800000}`},
}

// tags are the groups of operations, and what each is about.
var tags = []struct{ name, text string }{
	{"Payment", "Charges and refunds, from request to outcome."},
	{"Account", "What customers and merchants hold."},
	{"Platform", "Customers and merchants of a company."},
	{"Session", "What a scanned code opens."},
	{"Feed", "Events, numbered without gaps, by long poll."},
	{"Rehearsal", "Faults and the clock of a platform that is not for production; elsewhere these addresses do not exist."},
}
