package lambdabiz
