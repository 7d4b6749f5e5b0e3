"""What families share whose codec makes a fixed number of code tuples a second (Llasa, Dia)."""
