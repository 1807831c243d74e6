package common // want floor floor charter
