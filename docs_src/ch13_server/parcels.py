from bookshop import Parcel, shop  # type: ignore[import-not-found]

found = shop.repository_for(Parcel).query.order_by("order_id")
print("parcels:", [parcel.order_id for parcel in found])
