#!/bin/sh
# The nightly report: reads what it may, tries what policy forbids, and asks for names that nobody knows.
curl -s -o /dev/null --max-time 5 http://catalog.shop/items.json
curl -s -o /dev/null --max-time 5 http://catalog.shop/prices.json
curl -s -o /dev/null --max-time 3 http://cart.shop:9090/metrics          # admitted, but nobody listens: refused
curl -s -o /dev/null --connect-timeout 4 telnet://redis.shop:6379 </dev/null   # denied by shop/redis
dig +short +tries=1 +time=2 slow.example A >/dev/null                    # nobody answers
dig +short nosuch.shop.svc.cluster.local A >/dev/null                    # NXDOMAIN
dig +short catalog.shop.svc.cluster.local AAAA >/dev/null                # no such record
ping -c 2 -i 0.3 -W 1 10.244.1.2 >/dev/null                              # the DNS pod answers
ping -c 1 -W 1 10.244.1.31 >/dev/null                                    # no policy of the shop admits ICMP
exit 0
