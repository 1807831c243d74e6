package book

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// toy is a small machine that has everything a real one has: accounts with money that moves between them under an id,
// callers' keys, and alarms that ring.
type toy struct {
	accounts *Rows[toyAccount]
	moves    *Rows[toyMoved]
	alarms   *Rows[toyAlarm]
	keys     *Keys
	version  uint32
	onApply  func(at clock.Micros, seq uint64, ev any)
	deaf     map[id.ID]bool // alarms that cannot ring
}

type (
	toyAccount struct {
		Balance int64
		Name    []byte // counts the moves in its one byte: a row whose bytes change in place
	}
	toyAlarm struct {
		Due  clock.Micros
		Rung int64
	}
	// toyMoved is what became of a move: event and row.
	toyMoved struct {
		Move    toyMove
		At      clock.Micros
		Code    int64 // 0 done, 1 insufficient
		Balance int64 // of From afterwards
	}
	toyOpened struct {
		Acc     Key
		Balance int64
	}
	toySet struct {
		ID  id.ID
		Due clock.Micros
	}
	toyRang struct{ ID id.ID }
)

// The commands.
type (
	toyOpen struct { // reply: nil
		Acc     Key
		Balance int64
	}
	toyMove struct { // reply: toyReply
		ID       id.ID
		From, To id.ID
		Amount   int64
		Key      id.ID // a caller's random key, or nil
	}
	toyRead  struct{ Acc id.ID } // reply: int64
	toyAlert struct {            // reply: nil
		ID  id.ID
		Due clock.Micros
	}
	toyTell struct { // reply: nil
		ID   id.ID
		Text string // goes into a note
	}
	toyRing  struct{ ID id.ID }
	toySneak struct{ Acc id.ID } // reads what it did not declare
	toyCrash struct{ In string } // panics in "touch", "decide" or "apply"
	toyNever struct{}            // an event that Decode does not know
)

type toyReply struct {
	ID      id.ID
	At      clock.Micros
	Balance int64
}

const toyTenant = id.Tenant(7)

func toyKey(x id.ID) Key { return Key{toyTenant, x} }

func newToy() *toy {
	return &toy{
		version: 3,
		accounts: NewRows(Schema[toyAccount]{
			Table: "toy_accounts", Columns: []string{"balance", "name"},
			Args: func(v *toyAccount, a []any) []any { return append(a, v.Balance, v.Name) },
			Scan: func(scan func(...any) error, v *toyAccount) error { return scan(&v.Balance, &v.Name) },
		}),
		moves: NewRows(Schema[toyMoved]{
			Table: "toy_moves", Passing: true, Columns: []string{"facts"},
			Args: func(v *toyMoved, a []any) []any { return append(a, v.encode()) },
			Scan: func(scan func(...any) error, v *toyMoved) error {
				var b []byte
				if err := scan(&b); err != nil {
					return err
				}
				v.decode(b)
				return nil
			},
		}),
		alarms: NewRows(Schema[toyAlarm]{
			Table: "toy_alarms", Columns: []string{"rung", "rings"},
			Args: func(v *toyAlarm, a []any) []any { return append(a, v.Rung, int64(v.Due)) },
			Scan: func(scan func(...any) error, v *toyAlarm) error { return scan(&v.Rung, &v.Due) },
			Due:  func(v *toyAlarm) clock.Micros { return v.Due },
		}),
		keys: NewKeys("toy_keys"),
	}
}

func (m *toy) Tables() []Table { return []Table{m.accounts, m.moves, m.alarms, m.keys} }

func (m *toy) Version() uint32 { return m.version }

func (m *toy) Public(ev any) (id.Tenant, bool) {
	e, ok := ev.(*toyMoved)
	return toyTenant, ok && e.Code == 0
}

func (m *toy) Expire(t Table, k Key) any { return toyRing{k.ID} }

func (m *toy) Touch(cmd any, t *Touch) {
	switch c := cmd.(type) {
	case toyOpen:
		m.accounts.Touch(t, c.Acc)
	case toyMove:
		m.moves.Touch(t, toyKey(c.ID))
		m.accounts.Touch(t, toyKey(c.From))
		m.accounts.Touch(t, toyKey(c.To))
		if !c.Key.IsNil() {
			m.keys.Touch(t, toyKey(c.Key))
			if e := m.keys.Peek(toyKey(c.Key)); e != nil {
				m.moves.Touch(t, toyKey(e.Target))
			}
		}
	case toyRead:
		m.accounts.Touch(t, toyKey(c.Acc))
	case toyAlert:
		m.alarms.Touch(t, toyKey(c.ID))
	case toyTell:
		m.alarms.Touch(t, toyKey(c.ID))
	case toyRing:
		m.alarms.Touch(t, toyKey(c.ID))
	case toyCrash:
		if c.In == "touch" {
			panic("crash in touch")
		}
	}
}

func (m *toy) Decide(now clock.Micros, cmd any, out *Decision) {
	switch c := cmd.(type) {
	case toyOpen:
		if m.accounts.Get(c.Acc) == nil {
			out.Emit(&toyOpened{c.Acc, c.Balance})
		}
	case toyMove:
		m.decideMove(now, c, out)
	case toyRead:
		if a := m.accounts.Get(toyKey(c.Acc)); a != nil {
			out.Reply(a.Balance)
			return
		}
		out.Refuse(fault.AccountNotFound.New(""))
	case toyAlert:
		out.Emit(&toySet{c.ID, c.Due})
	case toyTell:
		out.Note(journal.Note{Tenant: uint32(toyTenant), Service: "toy", ID: c.ID[:], Body: []byte(c.Text)})
		out.Emit(&toySet{c.ID, 0})
	case toyRing:
		if a := m.alarms.Get(toyKey(c.ID)); a != nil && a.Due > 0 && a.Due <= now && !m.deaf[c.ID] {
			out.Emit(&toyRang{c.ID})
		}
	case toySneak:
		m.accounts.Get(toyKey(c.Acc))
	case toyCrash:
		if c.In == "decide" {
			panic("crash in decide")
		}
		out.Emit(&c)
	case toyNever:
		out.Emit(&c)
	}
}

func (m *toy) decideMove(now clock.Micros, c toyMove, out *Decision) {
	if !c.Key.IsNil() {
		if e := m.keys.Get(toyKey(c.Key)); e != nil {
			if e.Fingerprint != c.print() {
				out.Refuse(fault.IdempotencyKeyReused.New(""))
				return
			}
			c.ID = e.Target
		}
	}
	if old := m.moves.Get(toyKey(c.ID)); old != nil {
		if old.Move.print() != c.print() {
			out.Refuse(fault.IDReused.New(""))
			return
		}
		old.answer(out)
		return
	}
	ev := &toyMoved{Move: c, At: now}
	from := m.accounts.Get(toyKey(c.From))
	if from == nil || from.Balance < c.Amount {
		ev.Code = 1
	} else {
		ev.Balance = from.Balance - c.Amount
	}
	out.Emit(ev)
	ev.answer(out)
}

func (e *toyMoved) answer(out *Decision) {
	if e.Code == 1 {
		out.Refuse(fault.InsufficientFunds.New(""))
		return
	}
	out.Reply(toyReply{ID: e.Move.ID, At: e.At, Balance: e.Balance})
}

func (c toyMove) print() (p [16]byte) {
	copy(p[:], c.From[4:12])
	copy(p[8:], c.To[4:8])
	binary.LittleEndian.PutUint32(p[12:], uint32(c.Amount))
	return p
}

func (m *toy) TouchEvent(ev any, t *Touch) {
	switch e := ev.(type) {
	case *toyOpened:
		m.accounts.Touch(t, e.Acc)
	case *toyMoved:
		m.Touch(toyMove{ID: e.Move.ID, From: e.Move.From, To: e.Move.To}, t)
	case *toySet:
		m.alarms.Touch(t, toyKey(e.ID))
	case *toyRang:
		m.alarms.Touch(t, toyKey(e.ID))
	}
}

func (m *toy) Apply(at clock.Micros, seq uint64, ev any) {
	if m.onApply != nil {
		m.onApply(at, seq, ev)
	}
	switch e := ev.(type) {
	case *toyOpened:
		*m.accounts.Edit(e.Acc) = toyAccount{Balance: e.Balance, Name: []byte{0}}
	case *toyMoved:
		*m.moves.Edit(toyKey(e.Move.ID)) = *e
		if !e.Move.Key.IsNil() {
			m.keys.Put(toyKey(e.Move.Key), KeyEntry{Target: e.Move.ID, Fingerprint: e.Move.print(), At: at})
		}
		if e.Code == 0 {
			from, to := m.accounts.Edit(toyKey(e.Move.From)), m.accounts.Edit(toyKey(e.Move.To))
			from.Balance -= e.Move.Amount
			to.Balance += e.Move.Amount
			from.Name[0]++
			to.Name[0]++
		}
	case *toySet:
		m.alarms.Edit(toyKey(e.ID)).Due = e.Due
	case *toyRang:
		a := m.alarms.Edit(toyKey(e.ID))
		a.Due = 0
		a.Rung++
	case *toyCrash:
		panic("crash in apply")
	}
}

// The event types.
const (
	toyTypeOpened = FirstEventType + iota
	toyTypeMoved
	toyTypeSet
	toyTypeRang
	toyTypeCrash
	toyTypeNever
)

func (m *toy) Encode(ev any) (uint32, []byte) {
	var b []byte
	switch e := ev.(type) {
	case *toyOpened:
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Acc.Tenant))
		return toyTypeOpened, binary.LittleEndian.AppendUint64(append(b, e.Acc.ID[:]...), uint64(e.Balance))
	case *toyMoved:
		return toyTypeMoved, e.encode()
	case *toySet:
		return toyTypeSet, binary.LittleEndian.AppendUint64(append(b, e.ID[:]...), uint64(e.Due))
	case *toyRang:
		return toyTypeRang, e.ID[:]
	case *toyCrash:
		return toyTypeCrash, nil
	case *toyNever:
		return toyTypeNever, nil
	}
	panic(fmt.Sprintf("toy: no event %T", ev))
}

func (e *toyMoved) encode() []byte {
	b := make([]byte, 0, 4*16+4*8)
	b = append(append(append(append(b, e.Move.ID[:]...), e.Move.From[:]...), e.Move.To[:]...), e.Move.Key[:]...)
	for _, n := range []int64{e.Move.Amount, int64(e.At), e.Code, e.Balance} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func (e *toyMoved) decode(b []byte) {
	e.Move = toyMove{ID: id.ID(b), From: id.ID(b[16:]), To: id.ID(b[32:]), Key: id.ID(b[48:])}
	n := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[64+8*i:])) }
	e.Move.Amount, e.At, e.Code, e.Balance = n(0), clock.Micros(n(1)), n(2), n(3)
}

func (m *toy) Decode(typ uint32, b []byte) (any, error) {
	switch typ {
	case toyTypeOpened:
		return &toyOpened{Key{id.Tenant(binary.LittleEndian.Uint32(b)), id.ID(b[4:])}, int64(binary.LittleEndian.Uint64(b[20:]))}, nil
	case toyTypeMoved:
		e := &toyMoved{}
		e.decode(b)
		return e, nil
	case toyTypeSet:
		return &toySet{id.ID(b), clock.Micros(binary.LittleEndian.Uint64(b[16:]))}, nil
	case toyTypeRang:
		return &toyRang{id.ID(b)}, nil
	}
	return nil, errors.New("toy: an event of a later version")
}
