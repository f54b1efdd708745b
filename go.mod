module github.com/lambdabiz/lambdabiz

go 1.26.0
