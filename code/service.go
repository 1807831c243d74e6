package code

import (
	"context"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
	"github.com/koban-pay/koban/tcc/verbs"
)

// Notes reads shops' names and addresses, which stand beside the journal, where they can be erased (rule B14).
type Notes interface {
	Note(ctx context.Context, tenant uint32, service string, id []byte) (body []byte, found bool, err error)
	EraseNotes(ctx context.Context, tenant uint32, service string, ids ...[]byte) error
}

const serviceName = "code"

// Service registers shops, reads codes and keeps sessions. It is safe for concurrent use.
//
// Every method can fail with unavailable, timeout or fenced, after which nobody knows the outcome yet: ask again with
// the same request.
type Service struct {
	verbs.Verbs // see plans for what they do here
	log         verbs.Log
	notes       Notes
	names       names
	ids         *id.Source
	clk         clock.Clock

	tables tables
}

var _ tcc.Participant = (*Service)(nil)

// New returns the service over its books, one per volume in order. db holds the state tables; sync returns
// when they hold what is durable now.
func New[B verbs.Book](books []B, log verbs.Log, notes Notes, ids *id.Source, clk clock.Clock, db *store.DB, sync func(context.Context) error) *Service {
	s := &Service{log: log, notes: notes, names: names{notes: notes, clk: clk}, ids: ids, clk: clk, tables: tables{db, sync}}
	s.Calendar = branch.Japan // a session has no days
	for _, b := range books {
		s.Books = append(s.Books, b)
	}
	return s
}

// Request identifies what a caller asks for, for good: the same key and fingerprint get the first reply again.
type Request struct {
	Tenant      id.Tenant
	Key         [16]byte // HMAC of the caller's key
	Fingerprint [16]byte // HMAC of the caller's request
}

// slot returns the slot of what the request makes, so that one key always meets one book.
func (r *Request) slot() uint16 { return id.SlotOf(r.Key[:]) }

// do submits a command to the book of the volume that owns x.
func do[R any](ctx context.Context, s *Service, x id.ID, cmd any) (R, error) {
	return verbs.Do[R](ctx, s.Book(x), cmd)
}

// RegisterShop gives a merchant a printed code.
//
// Errors: invalid_request (param name, latin, city, postal_code or mcc), idempotency_key_reused, limit_exceeded.
func (s *Service) RegisterShop(ctx context.Context, r Request, d Details) (Shop, error) {
	body, err := d.encode()
	if err != nil {
		return Shop{}, err
	}
	merchant := s.ids.New(s.clk.Now(), r.slot())
	reply, err := do[any](ctx, s, merchant, &Register{Tenant: r.Tenant, Key: r.Key, Fingerprint: r.Fingerprint, Merchant: merchant, Details: body})
	if err != nil {
		return Shop{}, err
	}
	if again, ok := reply.(Repeated); ok {
		return s.Shop(ctx, r.Tenant, again.ID)
	}
	return s.describe(ctx, reply.(ShopFound))
}

// Shop returns the shop of a merchant.
//
// Errors: merchant_not_found.
func (s *Service) Shop(ctx context.Context, tenant id.Tenant, merchant id.ID) (Shop, error) {
	found, err := do[ShopFound](ctx, s, merchant, &ReadShop{Tenant: tenant, Merchant: merchant})
	if err != nil {
		return Shop{}, err
	}
	return s.describe(ctx, found)
}

// Forget erases the name and the address of a merchant's shop, for good. Its printed code still works.
//
// Errors: merchant_not_found.
func (s *Service) Forget(ctx context.Context, tenant id.Tenant, merchant id.ID) error {
	found, err := do[ShopFound](ctx, s, merchant, &ReadShop{Tenant: tenant, Merchant: merchant})
	if err != nil {
		return err
	}
	if err := s.notes.EraseNotes(ctx, uint32(tenant), serviceName, found.Note); err != nil {
		return err
	}
	s.names.forget(tenant, found.Note)
	return nil
}

// forgetPage is how many sessions ForgetCustomer erases in one go.
const forgetPage = 100

// ForgetCustomer erases what the codes said that a customer has scanned, of every session that is durable
// now. The sessions themselves stay: books tell no text.
//
// Errors: unavailable if they cannot be read or erased; those that were erased stay so, and calling it
// again does the rest.
func (s *Service) ForgetCustomer(ctx context.Context, tenant id.Tenant, customer id.ID) error {
	if err := s.tables.sync(ctx); err != nil {
		return err
	}
	for last := id.Nil; ; {
		page, err := s.tables.noted(ctx, tenant, customer, last, forgetPage)
		if err != nil {
			return fault.Unavailable.New("the sessions cannot be read").Because(err)
		}
		if err := s.notes.EraseNotes(ctx, uint32(tenant), serviceName, page...); err != nil {
			return fault.Unavailable.New("the notes cannot be erased").Because(err)
		}
		if len(page) < forgetPage {
			return nil
		}
		last = id.ID(page[len(page)-1])
	}
}

// describe adds what the shop's note says. A shop whose note was erased has neither name nor payload; its printed code
// still works.
func (s *Service) describe(ctx context.Context, f ShopFound) (Shop, error) {
	shop := Shop{Merchant: f.Merchant, Store: f.Store, RegisteredAt: f.RegisteredAt}
	d, ok, err := s.names.details(ctx, f.Store.Tenant, f.Note)
	if err != nil || !ok {
		return shop, err
	}
	shop.Name = d.Name
	shop.Payload, err = d.payload(f.Store)
	return shop, err
}

// Read decodes a payload as it was scanned and finds its shop.
//
// Errors: invalid_code (param payload; the message names the object at fault), shop_not_found.
func (s *Service) Read(ctx context.Context, tenant id.Tenant, payload string) (*emv.Code, Shop, error) {
	c, found, err := s.find(ctx, tenant, payload)
	if err != nil {
		return nil, Shop{}, err
	}
	shop, err := s.describe(ctx, found)
	return c, shop, err
}

func (s *Service) find(ctx context.Context, tenant id.Tenant, payload string) (*emv.Code, ShopFound, error) {
	c, err := emv.Decode(payload)
	if err != nil {
		return nil, ShopFound{}, fault.Of(err).WithParam("payload")
	}
	unknown := fault.ShopNotFound.New("").WithParam("payload")
	if c.JPQR == nil {
		return nil, ShopFound{}, unknown
	}
	store, ok := ParseStore(*c.JPQR)
	if !ok || store.Tenant != tenant {
		return nil, ShopFound{}, unknown
	}
	found, err := do[ShopFound](ctx, s, store.key(), &FindShop{Store: store})
	if fault.HasCode(err, fault.ShopNotFound) {
		err = unknown
	}
	return c, found, err
}

// OpenSession opens a session for the customer who scanned the payload.
//
// Errors: those of Read, and idempotency_key_reused.
func (s *Service) OpenSession(ctx context.Context, r Request, customer id.ID, payload string) (Session, error) {
	c, shop, err := s.find(ctx, r.Tenant, payload)
	if err != nil {
		return Session{}, err
	}
	cmd := &Scan{
		Tenant: r.Tenant, Key: r.Key, Fingerprint: r.Fingerprint, ID: s.ids.New(s.clk.Now(), r.slot()), Customer: customer,
		Merchant: shop.Merchant, Currency: c.Currency(),
	}
	if t := c.Tip(); t != nil && t.Kind != emv.TipPrompt {
		return Session{}, fault.InvalidCode.New("The code asks for a fee on top of its amount (55 is %s), which is not taken here: ask the "+
			"shop for a code without one.", t.Kind).WithParam("payload")
	}
	if a := c.Amount(); a != nil {
		cmd.Minor = a.Minor
	}
	if cmd.Labels, err = labelsOf(c).note(); err != nil {
		return Session{}, err
	}
	reply, err := do[any](ctx, s, cmd.ID, cmd)
	if err != nil {
		return Session{}, err
	}
	if again, ok := reply.(Repeated); ok {
		return do[Session](ctx, s, again.ID, &ReadSession{Tenant: r.Tenant, ID: again.ID, First: true})
	}
	return reply.(Session), nil
}

// Session returns a session as it is now.
//
// Errors: session_not_found.
func (s *Service) Session(ctx context.Context, tenant id.Tenant, session id.ID) (Session, error) {
	return do[Session](ctx, s, session, &ReadSession{Tenant: tenant, ID: session})
}

// Entries returns what the blocks that receipts name did for a payment, in the order of the receipts, each block once.
// A session holds no value, so its entries have no legs.
//
// Errors: data_damaged.
func (s *Service) Entries(ctx context.Context, tenant id.Tenant, payment id.ID, receipts []tcc.Receipt) ([]tcc.Entry, error) {
	return s.Verbs.Entries(ctx, s.log, tenant, payment, receipts, explain)
}

// explain tells whether an event changed a branch's session.
func explain(_ int, e journal.Event) (b tcc.Branch, out []tcc.Entry, err error) {
	if e.Type < book.FirstEventType {
		return b, nil, nil
	}
	ev, err := (*Machine)(nil).Decode(e.Type, e.Body)
	if err != nil {
		return b, nil, err
	}
	if of, ok := ev.(interface{ about() *branchOf }); ok && moves(ev) {
		return tcc.Branch{Tenant: of.about().Tenant, ID: of.about().Branch}, []tcc.Entry{{What: "session"}}, nil
	}
	return b, nil, nil
}

// moves reports whether an event of a branch changed its session.
func moves(ev any) bool {
	switch e := ev.(type) {
	case *refused:
		return false
	case *cancelled:
		return e.Released
	}
	return true
}
