module example.com/vetted

go 1.26.0

require github.com/lambdabiz/lambdabiz v0.0.0

replace github.com/lambdabiz/lambdabiz => ../../..
