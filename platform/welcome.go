package platform

import (
	"context"
	"fmt"
	"os"

	"github.com/koban-pay/koban/code"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/internal/version"
	"github.com/koban-pay/koban/tcc"
)

// What the demo company begins with: yen and points of each customer.
const (
	demoCustomers = 20
	demoBalance   = 100_000
	demoPoints    = 5_000
)

// demoShops are the shops of the demo company. The places are real, the shops are not.
var demoShops = []code.Details{
	{Name: "喫茶こばん Koban Coffee", Latin: "Koban Coffee", City: "CHIYODA-KU", PostalCode: "1010047", MCC: "5814"},
	{Name: "青葉書店 Aoba Books", Latin: "Aoba Books", City: "SENDAI", PostalCode: "9800811", MCC: "5942"},
	{Name: "丸福パン Marufuku Bakery", Latin: "Marufuku Bakery", City: "OSAKA", PostalCode: "5300041", MCC: "5462"},
	{Name: "花屋みどり Midori Flowers", Latin: "Midori Flowers", City: "YOKOHAMA", PostalCode: "2200011", MCC: "5992"},
	{Name: "さくら薬局 Sakura Pharmacy", Latin: "Sakura Pharmacy", City: "FUKUOKA", PostalCode: "8100001", MCC: "5912"},
}

// welcome makes the demo company, or finds it as it was made: every request has a key of its own that never changes.
func (a *App) welcome(ctx context.Context) error {
	switch a.Tenant {
	case "", "none":
		return nil
	case "demo":
	default:
		return fmt.Errorf("platform: the tenant is %q; expected demo or none", a.Tenant)
	}
	a.Card.Customers = make([]CardCustomer, demoCustomers)
	a.Card.Merchants = make([]CardMerchant, len(demoShops))
	var steps []func() error
	for i := range demoCustomers {
		steps = append(steps, func() error { return a.welcomeCustomer(ctx, i) })
	}
	for i := range demoShops {
		steps = append(steps, func() error { return a.welcomeShop(ctx, i) })
	}
	if err := all(steps...); err != nil {
		return fmt.Errorf("platform: make the demo company: %w", err)
	}
	a.Card.Keys.Merchant = a.Card.Merchants[0].Key
	return nil
}

// asOperator returns a context for a request of the demo company's operator, whose key is the purpose.
func (a *App) asOperator(ctx context.Context, purpose string) context.Context {
	ctx, _ = rpc.With(ctx, rpc.Call{
		Principal: rpc.Principal{Tenant: demoTenant, Role: rpc.Operator, Name: "operator"}, RequestID: "req_" + purpose,
		Key: rpc.Key(a.constants.derive("demo/"+purpose, 16)), Fingerprint: rpc.Fingerprint(a.constants.derive("demo-body/"+purpose, 16)),
	})
	return ctx
}

func (a *App) welcomeCustomer(ctx context.Context, i int) error {
	c, err := a.handlers.platform.CreateCustomer(a.asOperator(ctx, fmt.Sprintf("customer-%d", i+1)), &platformv1.CreateCustomerRequest{
		Balance: &typev1.Money{Currency: "JPY", Value: demoBalance}, Points: &typev1.Money{Currency: "PT", Value: demoPoints},
	})
	if err != nil {
		return err
	}
	x, err := a.IDs.Decode(id.Customer, c.Id)
	if err != nil {
		return err
	}
	balance, err := a.handlers.accounts.read(ctx, demoTenant, x.Facet(tcc.BalanceAccount))
	if err != nil {
		return err
	}
	points, err := a.handlers.accounts.read(ctx, demoTenant, x.Facet(tcc.PointsAccount))
	if err != nil {
		return err
	}
	a.Card.Customers[i] = CardCustomer{ID: c.Id, Balance: CardAccount{balance.Id, balance.Available}, Points: CardAccount{points.Id, points.Available}}
	return nil
}

func (a *App) welcomeShop(ctx context.Context, i int) error {
	m, err := a.handlers.platform.openShop(a.asOperator(ctx, fmt.Sprintf("shop-%d", i+1)), demoShops[i])
	if err != nil {
		return err
	}
	a.Card.Merchants[i] = CardMerchant{ID: m.Id, Name: m.Name, Payload: m.Payload, Account: m.Account, Key: m.Key}
	return nil
}

// announce says that the platform is ready: it writes platform.json, which stands until the platform stops.
func (a *App) announce(context.Context) error {
	a.Card.Version = version.String()
	a.Card.PID, a.Card.Data, a.Card.Store, a.Card.Rehearsal = os.Getpid(), a.Data, a.place.engine(), a.Rehearsal
	a.Card.Demo = a.mode == demonstrating
	a.Card.Keys.Operator, a.Card.Keys.CustomerApp = a.keys.Operator(demoTenant), a.keys.CustomerApp(demoTenant)
	a.onStop(func(context.Context) error { return removeCard(a.Data) })
	if err := a.Card.write(a.Data); err != nil {
		return err
	}
	a.Log.Info("started", "version", a.Card.Version, "pid", a.Card.PID, "address", a.Card.Address, "store", a.Card.Store, "standby", a.Standby)
	a.onStop(func(context.Context) error { a.Log.Info("stopping: what is under way is finished first"); return nil })
	return nil
}
