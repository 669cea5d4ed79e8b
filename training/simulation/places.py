"""The cities and the merchant categories of the simulated world."""

from typing import Final, NamedTuple


class City(NamedTuple):
    """A city: region (ISO 3166-2), degrees north and east, relative number of customers, currency (ISO 4217)."""

    region: str
    lat: float
    long: float
    weight: float
    currency: str


CITIES: Final = (
    # Customers live in Europe alone, so that night in UTC, as the features see it, is night where they live.
    City("GB-LND", 51.507, -0.128, 9.0, "GBP"),
    City("GB-MAN", 53.481, -2.242, 2.8, "GBP"),
    City("GB-BIR", 52.486, -1.890, 2.6, "GBP"),
    City("GB-GLG", 55.864, -4.252, 1.2, "GBP"),
    City("IE-D", 53.350, -6.260, 1.4, "EUR"),
    City("PT-11", 38.722, -9.139, 1.8, "EUR"),
    City("PT-13", 41.158, -8.629, 1.0, "EUR"),
    City("ES-MD", 40.417, -3.704, 5.0, "EUR"),
    City("ES-B", 41.385, 2.173, 3.8, "EUR"),
    City("ES-V", 39.470, -0.376, 1.1, "EUR"),
    City("FR-75", 48.857, 2.352, 7.0, "EUR"),
    City("FR-69", 45.764, 4.836, 1.6, "EUR"),
    City("FR-13", 43.296, 5.370, 1.5, "EUR"),
    City("BE-BRU", 50.850, 4.352, 1.7, "EUR"),
    City("NL-NH", 52.368, 4.904, 2.1, "EUR"),
    City("NL-ZH", 51.924, 4.478, 1.4, "EUR"),
    City("DE-BE", 52.520, 13.405, 3.8, "EUR"),
    City("DE-HH", 53.551, 9.994, 1.9, "EUR"),
    City("DE-BY", 48.135, 11.582, 2.2, "EUR"),
    City("DE-NW", 50.938, 6.960, 2.4, "EUR"),
    City("DE-HE", 50.110, 8.682, 1.6, "EUR"),
    City("CH-ZH", 47.377, 8.541, 1.2, "CHF"),
    City("AT-9", 48.208, 16.373, 1.9, "EUR"),
    City("IT-RM", 41.903, 12.496, 2.9, "EUR"),
    City("IT-MI", 45.464, 9.190, 2.7, "EUR"),
    City("IT-NA", 40.852, 14.268, 1.6, "EUR"),
    City("CZ-10", 50.076, 14.438, 1.4, "CZK"),
    City("PL-14", 52.230, 21.012, 1.9, "PLN"),
    City("HU-BU", 47.498, 19.040, 1.5, "HUF"),
    City("SE-AB", 59.329, 18.069, 1.4, "SEK"),
    City("DK-84", 55.676, 12.568, 1.2, "DKK"),
    # Nobody lives here: journeys lead here, and attackers sit here.
    City("US-NY", 40.713, -74.006, 0.0, "USD"),
    City("US-CA", 34.052, -118.244, 0.0, "USD"),
    City("BR-SP", -23.551, -46.633, 0.0, "BRL"),
    City("IN-MH", 19.076, 72.878, 0.0, "INR"),
    City("IN-KA", 12.972, 77.595, 0.0, "INR"),
    City("SG-01", 1.352, 103.820, 0.0, "SGD"),
    City("JP-13", 35.690, 139.692, 0.0, "JPY"),
    City("AE-DU", 25.205, 55.271, 0.0, "AED"),
    City("TR-34", 41.008, 28.978, 0.0, "TRY"),
    City("NG-LA", 6.524, 3.379, 0.0, "NGN"),
    City("ZA-GP", -26.204, 28.047, 0.0, "ZAR"),
)


class Category(NamedTuple):
    """A kind of merchant: name, median amount in major units, sigma of its log, share of merchants, on the web."""

    name: str
    median: float
    sigma: float
    share: float
    web: bool


CATEGORIES: Final = (
    Category("grocery", 24.0, 0.80, 18.0, False),
    Category("restaurant", 21.0, 0.70, 16.0, False),
    Category("fuel", 45.0, 0.45, 6.0, False),
    Category("pharmacy", 15.0, 0.70, 6.0, False),
    Category("transport", 4.0, 0.80, 6.0, False),
    Category("fashion", 55.0, 0.75, 7.0, False),
    Category("furniture", 160.0, 1.00, 2.5, False),
    Category("jewellery", 190.0, 1.00, 1.5, False),
    Category("cash_withdrawal", 70.0, 0.60, 5.0, False),
    Category("online_retail", 38.0, 0.90, 12.0, True),
    Category("electronics", 120.0, 1.10, 4.0, True),
    Category("travel", 180.0, 1.00, 3.0, True),
    Category("digital_goods", 3.5, 0.80, 4.0, True),
    Category("entertainment", 14.0, 0.60, 4.0, True),
    Category("utilities", 60.0, 0.50, 3.0, True),
    Category("crypto_exchange", 90.0, 1.10, 1.0, True),
)
