"""Several hosts on one machine: network namespaces with a real Ray cluster on them, and the faults of hosts."""
