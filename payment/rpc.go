package payment

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Handler serves koban.payment.v1.PaymentService.
type Handler struct {
	Service  *Service
	IDs      *id.Codec
	Sessions Sessions
	Accounts Accounts
	MarkKey  MarkKey
	Entries  map[Participant]Entries
	Blocks   Blocks
}

// replyMargin is what is left of a caller's deadline for answering: a payment that is durable is answered 202 before
// the caller goes away.
const replyMargin = 300 * clock.Millisecond

// CreatePayment serves POST /v1/payments.
func (h *Handler) CreatePayment(ctx context.Context, q *paymentv1.CreatePaymentRequest) (*paymentv1.Payment, error) {
	r, err := h.request(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := h.admitCharge(ctx, &r); err != nil {
		return nil, soon(ctx, err)
	}
	o, err := h.Service.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	return h.finish(ctx, o, q.Async)
}

// request turns a message into a request, and refuses what can never succeed without binding the key.
func (h *Handler) request(ctx context.Context, q *paymentv1.CreatePaymentRequest) (Request, error) {
	c := rpc.From(ctx)
	r := Request{Caller: callerOf(c), Tenant: c.Principal.Tenant, Capture: Automatic}
	if q.Kind != paymentv1.PaymentKind_PAYMENT_KIND_CHARGE {
		return r, fault.InvalidRequest.New("expected charge; refunds are made at /v1/payments/{id}/refunds").WithParam("kind")
	}
	if q.Capture == paymentv1.CaptureMode_CAPTURE_MODE_MANUAL {
		r.Capture = Manual
	}
	n := callerNote{Reference: q.GetReference(), Metadata: q.Metadata}
	fixed, err := h.parties(ctx, q, &r, &n)
	if err != nil {
		return r, err
	}
	if r.Amount, err = chargeAmount(q.Amount, fixed); err != nil {
		return r, err
	}
	if r.Sources, err = h.sources(q.Sources, r.Amount, r.Customer); err != nil {
		return r, err
	}
	if r.Note, err = note(n); err != nil {
		return r, err
	}
	r.Marks = h.MarkKey.marks(r.Tenant, n)
	return r, h.known(ctx, r)
}

// parties finds out who pays whom: from the session, or as the request says. It returns the amount that a scanned code
// carries, if it does, and notes what else the code says.
func (h *Handler) parties(ctx context.Context, q *paymentv1.CreatePaymentRequest, r *Request, n *callerNote) (fixed *typev1.Money, err error) {
	customer, merchant := q.GetCustomer(), q.GetMerchant()
	if q.Session == nil && (customer == "" || merchant == "") {
		return nil, fault.MissingField.New("expected a session, or merchant and customer").WithParam("session")
	}
	if q.Session != nil {
		if r.Session, err = h.parse(id.Session, q.GetSession(), "session"); err != nil {
			return nil, err
		}
		s, err := h.Sessions.GetSession(ctx, &codev1.GetSessionRequest{Id: q.GetSession()})
		if err != nil {
			return nil, param(err, "session")
		}
		l := s.Labels
		n.Labels = labels{l.GetBillNumber(), l.GetStoreLabel(), l.GetReferenceLabel(), l.GetTerminalLabel()}
		if fixed = s.Amount; customer == "" {
			customer = s.Customer
		}
		if merchant == "" {
			merchant = s.GetMerchant().GetId()
		}
	}
	if r.Customer, err = h.parse(id.Customer, customer, "customer"); err != nil {
		return nil, err
	}
	r.Merchant, err = h.parse(id.Merchant, merchant, "merchant")
	return fixed, err
}

func chargeAmount(asked, fixed *typev1.Money) (money.Amount, error) {
	if asked == nil {
		asked = fixed
	}
	if asked == nil {
		return money.Amount{}, fault.MissingField.New("expected an amount; the code carries none").WithParam("amount")
	}
	return amountOf(asked, "amount")
}

func amountOf(m *typev1.Money, field string) (money.Amount, error) {
	c, err := money.ParseCurrency(m.Currency)
	if err != nil {
		return money.Amount{}, fault.InvalidCurrency.New("").WithParam(field + ".currency")
	}
	if m.Value < 1 || m.Value > money.MaxWire {
		return money.Amount{}, fault.InvalidAmount.New("").WithParam(field + ".value")
	}
	return money.Of(m.Value, c), nil
}

// sources reads what the request wants to be paid from.
func (h *Handler) sources(list []*paymentv1.SourceRequest, amount money.Amount, customer id.ID) ([]Source, error) {
	var wants []want
	for i, q := range list {
		w := want{from: FromBalance}
		if q.Type == paymentv1.SourceType_SOURCE_TYPE_POINTS {
			w.from = FromPoints
		}
		if w.open = q.Amount == nil; !w.open {
			var err error
			if w.amount, err = amountOf(q.Amount, fmt.Sprintf("sources.%d.amount", i)); err != nil {
				return nil, err
			}
		}
		wants = append(wants, w)
	}
	return divide(amount, customer, wants)
}

// known requires that customer and merchant exist, and are in the payment's currency.
func (h *Handler) known(ctx context.Context, r Request) error {
	for _, side := range []struct {
		account id.ID
		field   string
		missing fault.Code
	}{
		{r.Customer.Facet(tcc.BalanceAccount), "customer", fault.CustomerNotFound},
		{r.Merchant.Facet(tcc.PayableAccount), "merchant", fault.MerchantNotFound},
	} {
		c, err := h.Accounts.Currency(ctx, r.Tenant, side.account)
		switch {
		case err != nil:
			return err
		case c == money.None:
			return side.missing.New("").WithParam(side.field)
		case c != r.Amount.Currency:
			return fault.CurrencyMismatch.New("the %s's account is in %s", side.field, c).WithParam("amount.currency")
		}
	}
	return nil
}

// CreateRefund serves POST /v1/payments/{id}/refunds.
func (h *Handler) CreateRefund(ctx context.Context, q *paymentv1.CreateRefundRequest) (*paymentv1.Payment, error) {
	c := rpc.From(ctx)
	r := RefundRequest{Caller: callerOf(c), Tenant: c.Principal.Tenant, Merchant: only(c)}
	var err error
	if r.Payment, err = h.locate(q.Id); err != nil {
		return nil, err
	}
	if q.Amount != nil {
		if r.Amount, err = amountOf(q.Amount, "amount"); err != nil {
			return nil, err
		}
	}
	if _, err := h.visible(ctx, q.Id); err != nil { // before anything is done, or kept, for a payment of somebody else
		return nil, err
	}
	n := callerNote{Reference: q.GetReference()}
	if r.Note, err = note(n); err != nil {
		return nil, err
	}
	r.Marks = h.MarkKey.marks(r.Tenant, n)
	if err := h.admitRefund(ctx, &r); err != nil {
		return nil, soon(ctx, err)
	}
	o, err := h.Service.Refund(ctx, r)
	if err != nil {
		return nil, soon(ctx, err)
	}
	return h.finish(ctx, o, q.Async)
}

// CapturePayment serves POST /v1/payments/{id}/capture.
func (h *Handler) CapturePayment(ctx context.Context, q *paymentv1.CapturePaymentRequest) (*paymentv1.Payment, error) {
	r := OperationRequest{Cause: ByCapture}
	if q.Amount != nil {
		var err error
		if r.Amount, err = amountOf(q.Amount, "amount"); err != nil {
			return nil, err
		}
	}
	if q.Final != nil && !*q.Final {
		return nil, fault.InvalidRequest.New("a capture takes all that was authorized, so it is the final one").WithParam("final")
	}
	return h.operate(ctx, q.Id, r, q.Async)
}

// VoidPayment serves POST /v1/payments/{id}/void.
func (h *Handler) VoidPayment(ctx context.Context, q *paymentv1.VoidPaymentRequest) (*paymentv1.Payment, error) {
	return h.operate(ctx, q.Id, OperationRequest{Cause: ByVoid}, q.Async)
}

func (h *Handler) operate(ctx context.Context, text string, r OperationRequest, async bool) (*paymentv1.Payment, error) {
	c := rpc.From(ctx)
	r.Caller, r.Tenant, r.Merchant = callerOf(c), c.Principal.Tenant, only(c)
	var err error
	if r.Payment, err = h.locate(text); err != nil {
		return nil, err
	}
	o, err := h.Service.Operate(ctx, r)
	if err != nil {
		return nil, soon(ctx, err)
	}
	return h.finish(ctx, o, async)
}

// finish answers a POST: with the settled facts, with 202 while it is under way, or with the fault it failed with.
func (h *Handler) finish(ctx context.Context, o Outcome, async bool) (*paymentv1.Payment, error) {
	c := rpc.From(ctx)
	if !settledFor(o) && !o.New && !async {
		rpc.SetRetryAfter(ctx, time.Second)
		return nil, rpc.Failed(fault.InProgress.New(""), h.IDs.Encode(id.Payment, o.Payment.ID), "")
	}
	if !settledFor(o) && !async {
		wait, cancel := h.patience(ctx, c)
		o = h.Service.Settle(wait, o)
		cancel()
	}
	if !settledFor(o) {
		rpc.SetStatus(ctx, 202)
		rpc.SetRetryAfter(ctx, time.Second)
		return h.render(ctx, o.Payment, facts{})
	}
	f := factsOf(o)
	if f.failure != "" {
		if o.Operation != nil {
			return nil, rpc.Failed(declinedWith(o.Operation, o.Payment), "", requestID(c))
		}
		return nil, rpc.Failed(o.Payment.failed(f.failure), h.IDs.Encode(id.Payment, o.Payment.ID), requestID(c))
	}
	return h.render(ctx, o.Payment, f)
}

// soon tells the caller when to ask again, where the payment is only busy, or a participant is given time.
func soon(ctx context.Context, err error) error {
	switch {
	case fault.HasCode(err, fault.PaymentBusy):
		rpc.SetRetryAfter(ctx, time.Second)
	case fault.HasCode(err, fault.CircuitOpen):
		rpc.SetRetryAfter(ctx, breakerRest.Sub(0).Truncate(time.Second))
	}
	return err
}

// patience is how long a synchronous caller is kept waiting: until shortly before its own deadline.
func (h *Handler) patience(ctx context.Context, c *rpc.Call) (context.Context, context.CancelFunc) {
	wait, cancel := context.WithCancel(ctx)
	if c.Deadline == 0 {
		return wait, cancel
	}
	pace := c.Pace
	if pace == nil {
		pace = h.Service.Clock
	}
	left := (c.Deadline - replyMargin).Sub(pace.Now())
	stop := pace.AfterFunc(max(left, 0), cancel)
	return wait, func() { stop(); cancel() }
}

// requestID names the first answer to a request for ever, so that its replays are equal to the byte.
func requestID(c *rpc.Call) string {
	return "req_" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(c.Key[:]))
}

func callerOf(c *rpc.Call) Caller {
	return Caller{Key: book.Key{Tenant: c.Principal.Tenant, ID: id.ID(c.Key)}, Fingerprint: c.Fingerprint}
}

// only returns the merchant that the caller is bound to, nil for callers that are not.
func only(c *rpc.Call) id.ID {
	if c.Principal.Role == rpc.Merchant {
		return c.Principal.Merchant
	}
	return id.Nil
}

// locate reads the id in an address. What cannot be an id of a payment does not exist.
func (h *Handler) locate(text string) (id.ID, error) {
	x, err := h.IDs.Decode(id.Payment, text)
	if err != nil {
		return x, fault.PaymentNotFound.New("")
	}
	return x, nil
}

// parse reads an id in a body.
func (h *Handler) parse(p id.Prefix, text, field string) (id.ID, error) {
	x, err := h.IDs.Decode(p, text)
	if err != nil {
		return x, fault.InvalidID.New("%s", err.Error()).WithParam(field)
	}
	return x, nil
}

func param(err error, field string) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Param == "" {
		return f.WithParam(field)
	}
	return err
}

// GetPayment serves GET /v1/payments/{id}.
func (h *Handler) GetPayment(ctx context.Context, q *paymentv1.GetPaymentRequest) (*paymentv1.Payment, error) {
	p, err := h.visible(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	return h.render(ctx, p, facts{})
}

// visible reads a payment that the caller may see.
func (h *Handler) visible(ctx context.Context, text string) (*Payment, error) {
	c := rpc.From(ctx)
	x, err := h.locate(text)
	if err != nil {
		return nil, err
	}
	p, err := h.Service.Get(ctx, c.Principal.Tenant, x)
	if err != nil {
		return nil, err
	}
	if !c.Principal.SeesMerchant(p.Merchant) {
		return nil, fault.PaymentNotFound.New("")
	}
	return p, nil
}

// pageSize is the length of a page unless the caller says otherwise.
const pageSize = 20

// ListPayments serves GET /v1/payments.
func (h *Handler) ListPayments(ctx context.Context, q *paymentv1.ListPaymentsRequest) (*paymentv1.ListPaymentsResponse, error) {
	c := rpc.From(ctx)
	f := Filter{Tenant: c.Principal.Tenant, Kind: Kind(q.Kind), Status: Status(q.Status), Merchant: only(c)}
	var err error
	if q.Customer != nil {
		if f.Customer, err = h.parse(id.Customer, *q.Customer, "customer"); err != nil {
			return nil, err
		}
	}
	if q.Parent != nil {
		if f.Parent, err = h.parse(id.Payment, *q.Parent, "parent"); err != nil {
			return nil, err
		}
	}
	if q.Merchant != nil {
		m, err := h.parse(id.Merchant, *q.Merchant, "merchant")
		if err != nil {
			return nil, err
		}
		if !c.Principal.SeesMerchant(m) {
			return &paymentv1.ListPaymentsResponse{}, nil
		}
		f.Merchant = m
	}
	if f.From, err = parseTime(q.CreatedFrom, "created_from"); err != nil {
		return nil, err
	}
	if f.Until, err = parseTime(q.CreatedUntil, "created_until"); err != nil {
		return nil, err
	}
	f.Marks = h.MarkKey.marks(f.Tenant, callerNote{Reference: q.GetReference(), Labels: labels{
		BillNumber:     q.GetBillNumber(),
		ReferenceLabel: q.GetReferenceLabel(), TerminalLabel: q.GetTerminalLabel(),
	}})
	f.Suspense = q.GetSuspense()
	return h.page(ctx, f, q.Limit, q.Cursor)
}

// ListRefunds serves GET /v1/payments/{id}/refunds.
func (h *Handler) ListRefunds(ctx context.Context, q *paymentv1.ListRefundsRequest) (*paymentv1.ListPaymentsResponse, error) {
	p, err := h.visible(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	return h.page(ctx, Filter{Tenant: p.Tenant, Parent: p.ID}, q.Limit, q.Cursor)
}

// page answers a list. The contract bounds the limit.
func (h *Handler) page(ctx context.Context, f Filter, limit *int64, cursor *string) (*paymentv1.ListPaymentsResponse, error) {
	f.Limit = pageSize
	if limit != nil {
		f.Limit = int(*limit)
	}
	var err error
	if cursor != nil {
		if f.Before, err = h.IDs.Decode(id.Payment, *cursor); err != nil {
			return nil, fault.InvalidCursor.New("").WithParam("cursor")
		}
	}
	list, next, err := h.Service.List(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &paymentv1.ListPaymentsResponse{}
	for _, p := range list {
		m, err := h.render(ctx, p, facts{})
		if err != nil {
			return nil, err
		}
		m.Metadata = nil // each may have 16 KiB of it: a page has what tells payments apart, a payment everything
		out.Items = append(out.Items, m)
	}
	if !next.IsNil() {
		out.NextCursor = pointer(h.IDs.Encode(id.Payment, next))
	}
	return out, nil
}

// render turns a payment into its message, as it stood at the facts.
func (h *Handler) render(ctx context.Context, p *Payment, f facts) (*paymentv1.Payment, error) {
	v := f.seen(p)
	m := &paymentv1.Payment{
		Id: h.IDs.Encode(id.Payment, v.ID), Kind: paymentv1.PaymentKind(v.Kind),
		Status: paymentv1.PaymentStatus(v.Status), ResourceStatus: paymentv1.ResourceStatus(v.Resource),
		Amount: moneyOf(v.Amount), Captured: v.money(v.Captured), Refunded: v.money(v.Refunded),
		Customer: h.IDs.Encode(id.Customer, v.Customer), Merchant: h.IDs.Encode(id.Merchant, v.Merchant),
		CreatedAt: int64(v.CreatedAt), UpdatedAt: int64(v.UpdatedAt), Failure: failureOf(v),
	}
	if !v.Session.IsNil() {
		m.Session = pointer(h.IDs.Encode(id.Session, v.Session))
	}
	if !v.Parent.IsNil() {
		m.Parent = pointer(h.IDs.Encode(id.Payment, v.Parent))
	}
	for _, s := range v.Sources {
		m.Sources = append(m.Sources, &paymentv1.Source{
			Type: paymentv1.SourceType(s.Type), Account: h.IDs.Encode(id.Account, s.Account),
			Amount: v.money(s.Amount), Captured: v.money(s.Captured), Refunded: v.money(s.Refunded),
		})
	}
	if at := expiryOf(v); at > 0 {
		m.ExpiresAt = pointer(int64(at))
	}
	n, err := h.note(ctx, v)
	if err != nil {
		return nil, err
	}
	m.Metadata, m.Reference, m.Labels = n.Metadata, said(n.Reference), n.Labels.message()
	return m, nil
}

// note reads a payment's note; what was erased is empty.
func (h *Handler) note(ctx context.Context, p *Payment) (callerNote, error) {
	b, err := h.Service.Note(ctx, p)
	if err != nil {
		return callerNote{}, fault.Unavailable.New("the payment's note cannot be read").Because(err)
	}
	if b == nil {
		return callerNote{}, nil
	}
	return readNote(b), nil
}

// message returns nil where the code said nothing.
func (l labels) message() *typev1.Labels {
	if l == (labels{}) {
		return nil
	}
	return &typev1.Labels{
		BillNumber: said(l.BillNumber), StoreLabel: said(l.StoreLabel), ReferenceLabel: said(l.ReferenceLabel),
		TerminalLabel: said(l.TerminalLabel),
	}
}

// said returns nil for no text.
func said(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func failureOf(v *Payment) *typev1.Failure {
	if v.Status != Failed {
		return nil
	}
	return &typev1.Failure{Code: string(v.Failure), Message: v.failed(v.Failure).Message}
}

func (p *Payment) money(minor int64) *typev1.Money {
	return moneyOf(money.Of(minor, p.Amount.Currency))
}

func moneyOf(a money.Amount) *typev1.Money {
	return &typev1.Money{Currency: a.Currency.Code(), Value: a.Minor}
}

func pointer[T any](v T) *T { return &v }

// PublicEvent returns the public event that an event of the payment's journal announces, and its type; nil if the
// payment is none that the reader may see.
//
// Errors: fault.DataDamaged if the event is not understood.
func (h *Handler) PublicEvent(ctx context.Context, reader *rpc.Principal, typ uint32, body []byte) (string, *paymentv1.PaymentEvent, error) {
	ev, err := decode(typ, body)
	if err != nil {
		return "", nil, fault.DataDamaged.New("an event is not understood").Because(err)
	}
	x, st := id.Nil, Standing{}
	switch e := ev.(type) {
	case Started:
		x, st = e.Payment.ID, e.Payment.Standing
		if !reader.SeesMerchant(e.Payment.Merchant) {
			return "", nil, nil
		}
	case Advanced:
		x, st = e.ID, e.Standing
	}
	p, err := h.Service.Get(ctx, reader.Tenant, x)
	if err != nil || !reader.SeesMerchant(p.Merchant) {
		return "", nil, err
	}
	f := facts{status: st.Status, resource: st.Resource}
	v := f.seen(p)
	m := &paymentv1.PaymentEvent{
		Id: h.IDs.Encode(id.Payment, v.ID), Kind: paymentv1.PaymentKind(v.Kind),
		Status: paymentv1.PaymentStatus(v.Status), ResourceStatus: paymentv1.ResourceStatus(v.Resource),
		Amount: moneyOf(v.Amount), Captured: v.money(v.Captured), Refunded: v.money(v.Refunded),
		Customer: h.IDs.Encode(id.Customer, v.Customer), Merchant: h.IDs.Encode(id.Merchant, v.Merchant), Failure: failureOf(v),
	}
	if !v.Session.IsNil() {
		m.Session = pointer(h.IDs.Encode(id.Session, v.Session))
	}
	if !v.Parent.IsNil() {
		m.Parent = pointer(h.IDs.Encode(id.Payment, v.Parent))
	}
	n, err := h.note(ctx, p)
	if err != nil {
		return "", nil, err
	}
	m.Reference, m.Labels = said(n.Reference), n.Labels.message()
	return publicType(v.Kind, v.Status), m, nil
}

// ExplainPayment serves GET /v1/payments/{id}/explain.
func (h *Handler) ExplainPayment(ctx context.Context, q *paymentv1.ExplainPaymentRequest) (*paymentv1.Explanation, error) {
	p, err := h.visible(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	st, err := h.Service.Explain(ctx, p.Tenant, p.ID, h.Blocks, h.Entries)
	if err != nil {
		return nil, err
	}
	p = st.Payment
	m := &paymentv1.Explanation{Phase: p.Phase.String(), RollbackPhase: p.Rollback.String()}
	if m.Payment, err = h.render(ctx, p, facts{}); err != nil {
		return nil, err
	}
	if p.Decision != Undecided {
		m.Decision = pointer(p.Decision.String())
	}
	for _, s := range st.Steps {
		m.Steps = append(m.Steps, stepMessage(s))
		if s.Public != "" {
			m.Events = append(m.Events, &paymentv1.Announcement{Service: "payment", Type: s.Public, At: int64(s.At)})
		}
	}
	for _, d := range st.Owed {
		m.Owed = append(m.Owed, h.dutyMessage(d))
	}
	for i := range p.Parts {
		m.Parts = append(m.Parts, h.partMessage(&p.Parts[i]))
	}
	for _, e := range st.Entries {
		m.Entries = append(m.Entries, h.entryMessage(e))
	}
	for _, b := range st.Blocks {
		m.Blocks = append(m.Blocks, &paymentv1.Block{
			Book: b.Book, Seq: int64(b.Seq), At: int64(b.At), Hash: hex.EncodeToString(b.Hash[:]),
			PreviousHash: hex.EncodeToString(b.Prev[:]), Events: int64(b.Events),
		})
	}
	for _, r := range st.Refunds {
		v, err := h.render(ctx, r, facts{})
		if err != nil {
			return nil, err
		}
		m.Refunds = append(m.Refunds, v)
	}
	return m, nil
}

func blockMessage(r tcc.BlockRef) *paymentv1.BlockRef {
	if r.Seq == 0 {
		return nil
	}
	return &paymentv1.BlockRef{Book: r.Book, Seq: int64(r.Seq)}
}

func codeMessage(c fault.Code) *string {
	if c == "" {
		return nil
	}
	return pointer(string(c))
}

func stepMessage(s StoryStep) *paymentv1.Step {
	return &paymentv1.Step{
		At: int64(s.At), Event: s.Event, Status: paymentv1.PaymentStatus(s.Standing.Status),
		ResourceStatus: paymentv1.ResourceStatus(s.Standing.Resource), Phase: s.Standing.Phase.String(),
		RollbackPhase: s.Standing.Rollback.String(), Attempts: int64(s.Attempts), Code: codeMessage(s.Code), Message: sentence(s),
		Block: blockMessage(s.Block),
	}
}

func (h *Handler) dutyMessage(d Duty) *paymentv1.Duty {
	return &paymentv1.Duty{
		Verb: d.Verb.String(), Participant: d.Part.Participant.String(), Account: pointer(h.holder(d.Part)),
		Amount: moneyOf(d.Part.Amount), DueAt: int64(d.DueAt), Attempts: int64(d.Attempts), Code: codeMessage(d.Code), Layer: d.Layer,
	}
}

// holder returns the public id of what a part is held on: an account or a session.
func (h *Handler) holder(x *Part) string {
	if x.Participant == Code {
		return h.IDs.Encode(id.Session, x.Account)
	}
	return h.IDs.Encode(id.Account, x.Account)
}

func (h *Handler) partMessage(x *Part) *paymentv1.Part {
	m := &paymentv1.Part{
		Number: int64(x.Number), Participant: x.Participant.String(), Account: h.holder(x),
		Amount: moneyOf(x.Amount), State: x.State.String(),
	}
	for _, a := range x.Answers {
		v := &paymentv1.Answer{
			Verb: a.Verb.String(), Outcome: a.Outcome.String(), Attempts: int64(a.Attempts), At: int64(a.At),
			Block: blockMessage(tcc.BlockRef{Book: a.Book, Seq: a.Seq}),
		}
		if a.Code != "" {
			v.Failure = &typev1.Failure{Code: string(a.Code), Message: a.Code.Summary()}
		}
		m.Answers = append(m.Answers, v)
	}
	return m
}

func (h *Handler) entryMessage(e tcc.Entry) *paymentv1.Entry {
	m := &paymentv1.Entry{At: int64(e.At), Kind: e.What, Block: blockMessage(tcc.BlockRef{Book: e.Book, Seq: e.Seq})}
	for _, l := range e.Legs {
		minor := l.Amount.Minor
		if !l.Debit {
			minor = -minor
		}
		leg := &paymentv1.Leg{Account: h.IDs.Encode(id.Account, l.Account), AccountKind: l.Kind, Currency: l.Amount.Currency.Code()}
		if l.Pending {
			leg.Held = minor
		} else {
			leg.Posted = minor
		}
		m.Legs = append(m.Legs, leg)
	}
	return m
}
