package book

// Peek returns the row if it is in memory, without declaring or demanding anything: a Touch uses it to declare what the
// row leads to, once the row itself was fetched.
func (r *Rows[V]) Peek(k Key) *V {
	if w, ok := r.m[k]; ok && !w.absent {
		return &w.v
	}
	return nil
}
