package emv

import "strings"

// The systems of whole countries whose codes leave out what the standard demands: an amount of zero where the payer is to
// say it, no category, no name, empty hints. Each is known by its globally unique id in 26–51. What is missing there is a
// warning; everywhere else it is a refusal.
var nationalSystems = [...]string{
	"SG.PAYNOW",      // Singapore
	"A000000727",     // NAPAS, Vietnam
	"A000000677010",  // PromptPay, Thailand: 111, 112 … by what is paid to
	"BR.GOV.BCB.PIX", // Brazil
	"ID.CO.QRIS.WWW", // Indonesia
}

// isNational reports whether a code is of such a system, and not of JPQR beside it.
func isNational(objects []Object) (found bool) {
	for i := range objects {
		o := &objects[i]
		if o.ID < "26" || o.ID > "51" {
			continue
		}
		first, _, refusal := next(o.Value, o.ID, 0)
		if refusal != nil || first.ID != "00" {
			continue
		}
		if first.Value == jpqrGUID {
			return false
		}
		for _, id := range nationalSystems {
			found = found || strings.HasPrefix(strings.ToUpper(first.Value), id)
		}
	}
	return found
}
