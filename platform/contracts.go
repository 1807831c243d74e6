package platform

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	rehearsalv1 "github.com/koban-pay/koban/gen/koban/rehearsal/v1"
)

// Contracts returns the files whose services the front door serves. Who may call a method, and on whose object, stands there.
func Contracts() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{
		paymentv1.File_koban_payment_v1_service_proto,
		balancev1.File_koban_balance_v1_account_proto,
		codev1.File_koban_code_v1_session_proto,
		platformv1.File_koban_platform_v1_platform_proto,
		feedv1.File_koban_feed_v1_feed_proto,
		rehearsalv1.File_koban_rehearsal_v1_rehearsal_proto,
	}
}
