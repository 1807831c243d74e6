package balancev1 // want generated
